"""The heads against hand-made losses."""

import torch
import torch.nn.functional as F
from torch import nn

from payattention.models.heads import ConcatHead, IndepHead, LogitSumHead

DIMS, CLASSES, N = (3, 5), 4, 6


def given(head_type: type[nn.Module]) -> tuple[nn.Module, list[torch.Tensor], torch.Tensor]:
    head = head_type(DIMS, CLASSES, normalise=False)
    return head, [torch.randn(N, d) for d in DIMS], torch.randint(0, CLASSES, (N,))


def test_indep_averages_probabilities_and_trains_with_their_exact_likelihood() -> None:
    head, descriptors, labels = given(IndepHead)
    p = [fc(g_a).softmax(1) for fc, g_a in zip(head.classifiers, descriptors, strict=True)]
    mean = (p[0] + p[1]) / 2
    logits = head(descriptors)
    torch.testing.assert_close(logits.softmax(1), mean)
    by_hand = -sum(mean[i, labels[i]].log() for i in range(N)) / N
    torch.testing.assert_close(F.cross_entropy(logits, labels), by_hand)


def test_logit_sum_is_cross_entropy_of_the_summed_logits_and_of_summed_log_probabilities() -> None:
    head, descriptors, labels = given(LogitSumHead)
    z = [fc(g_a) for fc, g_a in zip(head.classifiers, descriptors, strict=True)]
    loss = F.cross_entropy(head(descriptors), labels)
    torch.testing.assert_close(loss, F.cross_entropy(z[0] + z[1], labels))
    torch.testing.assert_close(loss, F.cross_entropy(z[0].log_softmax(1) + z[1].log_softmax(1), labels))


def test_concat_classifies_the_joined_descriptors() -> None:
    head, descriptors, _ = given(ConcatHead)
    torch.testing.assert_close(head(descriptors), head.classifier(torch.cat(descriptors, 1)))


def test_each_level_is_normalised_by_itself_before_the_classifier() -> None:
    head = ConcatHead(DIMS, CLASSES, dropout=0.0).train()
    descriptors = [10 + 5 * torch.randn(64, d) for d in DIMS]
    features = head.features(descriptors)
    batch_norm = [(g_a - g_a.mean(0)) / (g_a.var(0, correction=0) + 1e-5).sqrt() for g_a in descriptors]
    torch.testing.assert_close(features, torch.cat(batch_norm, 1).relu(), atol=1e-5, rtol=1e-5)
