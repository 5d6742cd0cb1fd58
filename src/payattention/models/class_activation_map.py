"""Networks that classify the mean of their last features with one linear layer, and so have class activation maps."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from payattention.errors import UsageError
from payattention.models.classifier import Classifier


class ClassMapped(Classifier):
    """logits = W mean_i(F_i) + b, so that each position's share in a class's logit is a map of that class (CAM)."""

    classifier: nn.Linear

    def averaged(self, images: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n d i j"]:
        """The features F that are averaged."""
        raise NotImplementedError

    def class_map(self, images: Float[Tensor, "n channels h w"], labels: Tensor | None = None) -> Tensor:
        """Class activation maps (n, h, w): sum_c w_c F_c. Their mean and the bias make the class's logit.

        Args:
            images: (n, channels, H, W), values in [0, 1].
            labels: The class of each image, (n,) whole numbers; by default the predicted one, as in `attend`. The
                authors' code takes the true one.

        Raises:
            UsageError: Labels that do not fit the images, or the classes.
        """
        if labels is not None:
            self._check_labels(images, labels)
        features = self.averaged(images)
        chosen = self.classifier(features.mean((2, 3))).argmax(1) if labels is None else labels
        return self.activation(features, chosen)

    def activation(self, features: Float[Tensor, "n d h w"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n h w"]:
        """The class activation map of each image's label."""
        return (features * self.classifier.weight[labels][:, :, None, None]).sum(1)

    def _check_labels(self, images: Tensor, labels: Tensor) -> None:
        classes = self.classifier.out_features
        if labels.shape != images.shape[:1]:
            raise UsageError(f"labels are one class for each of {len(images)} images; got {tuple(labels.shape)}")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise UsageError(f"labels lie in 0 ... {classes - 1}; got {int(labels.min())} ... {int(labels.max())}")
