"""Hard attention: what it looks at, what it draws, and that REINFORCE is the gradient of the expected loss."""

import copy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import payattention as pa
from payattention.attention.normaliser import Hard, Softmax, create_normaliser, draws
from payattention.errors import UsageError
from payattention.training.objective import Objective
from payattention.training.recipe import load_recipe
from payattention.training.reinforce import score_function

SMALL = 0.0625


def test_in_evaluation_it_takes_the_most_likely_position() -> None:
    hard = create_normaliser("hard").eval()
    scores, local = torch.randn(3, 4, 5), torch.randn(3, 6, 4, 5)
    map_ = hard(scores)
    torch.testing.assert_close(map_, Softmax()(scores))
    descriptor = hard.estimate(map_, local)
    for n in range(3):
        row, column = divmod(int(scores[n].argmax()), 5)
        assert torch.equal(descriptor[n], local[n, :, row, column])


def test_in_training_it_draws_positions_as_often_as_the_map_says() -> None:
    hard, count = Hard(expected=0.0).train(), 20_000
    scores = torch.tensor([[[0.0, 1.0], [2.0, -1.0]]]).expand(count, 2, 2)
    local = torch.arange(4.0).view(1, 1, 2, 2).expand(count, 1, 2, 2)  # each position's feature is its number
    map_ = hard(scores)
    with draws() as drawn:
        positions = hard.estimate(map_, local).squeeze(1).long()
    shares = positions.bincount(minlength=4) / count
    torch.testing.assert_close(shares, map_[0].flatten(), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn[0], map_[0].flatten()[positions].log())


def test_nothing_is_kept_of_a_draw_that_nobody_asked_for(images: Tensor) -> None:
    model = pa.create_model("vgg_att2_concat_pc", 3, SMALL, normaliser="hard").train()
    model(images)
    copy.deepcopy(model)  # a kept tensor with a graph could not be copied
    with draws() as drawn:
        model(images)
    assert [log_probability.shape for log_probability in drawn] == [(4,), (4,)]
    with draws() as drawn:
        model.eval()(images)
        pa.create_model("vgg_att2_concat_pc", 3, SMALL).train()(images)
    assert drawn == []


def test_the_estimator_is_the_gradient_of_the_expected_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """By enumeration: of two images with three positions each, all nine draws with their probabilities."""
    hard, classifier = Hard(expected=0.0).train(), nn.Linear(2, 3).double()
    scores = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    local = torch.randn(2, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 2])
    wanted = [scores, local, *classifier.parameters()]

    p = scores.flatten(1).softmax(1)
    losses = torch.stack(
        [F.cross_entropy(classifier(local[:, :, 0, i]), labels, reduction="none") for i in range(3)], dim=1
    )
    exact = torch.autograd.grad((p * losses).sum(1).mean(), wanted)

    estimated = [torch.zeros_like(w) for w in wanted]
    for first, second in product(range(3), range(3)):
        monkeypatch.setattr(torch, "multinomial", lambda *_, at=(first, second): torch.tensor(at)[:, None])
        with draws() as drawn:
            logits = classifier(hard.estimate(hard(scores), local))
        loss = F.cross_entropy(logits, labels) + score_function(
            drawn, F.cross_entropy(logits, labels, reduction="none")
        )
        for total, part in zip(estimated, torch.autograd.grad(loss, wanted), strict=True):
            total += p[0, first].item() * p[1, second].item() * part
    for a, b in zip(estimated, exact, strict=True):
        torch.testing.assert_close(a, b)


def test_training_reaches_the_scores_by_its_term_alone() -> None:
    model = pa.create_model("vgg_att2_concat_pc", 2, SMALL, normaliser="hard", dropout=0.0).train()
    for level in model.attention.levels.values():
        level.normaliser.expected = 0.0
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8) % 2
    u = model.attention.levels["layer13"].compatibility.u.weight
    Objective(model, load_recipe("quickstart").label_smoothing)(images, labels).loss.backward()
    assert u.grad.abs().max() > 0
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    assert not u.grad.any()


def test_a_single_image_has_no_baseline() -> None:
    log_p = torch.tensor([-1.5])
    assert score_function([log_p, log_p], torch.tensor([2.0])).item() == pytest.approx(2 * -3.0)


def test_a_gate_cannot_be_hard() -> None:
    with pytest.raises(UsageError, match="gate is 'hard': the gate multiplies every position; take sigmoid or softmax"):
        pa.create_model("vgg_pan", 3, SMALL, gate="hard")


def test_half_of_the_images_get_the_expectation() -> None:
    """What Xu et al., 2015, do for robustness; nothing is drawn for them, so REINFORCE leaves them alone."""
    hard, soft, count = Hard().train(), Softmax(), 4000
    scores, local = torch.randn(count, 3, 3), torch.randn(count, 2, 3, 3)
    map_ = hard(scores)
    with draws() as drawn:
        descriptor = hard.estimate(map_, local)
    expected = (descriptor == soft.estimate(map_, local)).all(1)
    assert 0.45 < expected.float().mean() < 0.55
    assert torch.equal(drawn[0] == 0, expected)
    one_of_them = (descriptor[:, :, None] == local.flatten(2)).all(1).any(1)
    assert torch.equal(one_of_them, ~expected)


def test_reinforce_finds_the_position_that_tells() -> None:
    """One position of eight is marked and shows the label, the others noise: by draws alone, the mark is learnt."""
    count, hard = 256, Hard(expected=0.0)
    u, classifier = nn.Conv2d(2, 1, 1), nn.Linear(2, 2)
    optimizer = torch.optim.Adam([*u.parameters(), *classifier.parameters()], lr=0.05)

    def draw_batch() -> tuple[Tensor, Tensor, Tensor]:
        labels, marked = torch.randint(2, (count,)), torch.randint(8, (count,))
        local = torch.zeros(count, 2, 1, 8)
        local[:, 0, 0] = torch.randint(2, (count, 8)) * 2.0 - 1
        local[torch.arange(count), :, 0, marked] = torch.stack([labels * 2.0 - 1, torch.ones(count)], dim=1)
        return local, labels, marked

    for _ in range(200):
        local, labels, _ = draw_batch()
        with draws() as drawn:
            logits = classifier(hard.estimate(hard(u(local).squeeze(1)), local))
        loss = F.cross_entropy(logits, labels)
        loss = loss + score_function(drawn, F.cross_entropy(logits, labels, reduction="none"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    local, labels, marked = draw_batch()
    map_ = hard.eval()(u(local).squeeze(1))
    assert (map_.flatten(1).argmax(1) == marked).float().mean() > 0.95
    assert (classifier(hard.estimate(map_, local)).argmax(1) == labels).float().mean() > 0.95
