"""Image classifiers that show where they look: trainable attention, its training and its measurement."""

