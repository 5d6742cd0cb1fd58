"""What is known of each named data set: the one place for its facts.

Counts are the published ones; where a set here has others, its images' `source` says so. Download sizes are those of
the archives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Facts:
    """One data set.

    Attributes:
        name: What it is asked for by.
        title: Its own name.
        classes: Number of classes.
        kinds: What the classes are.
        counts: Published number of images by split. "all" joins the splits, where a protocol wants that.
        size: Side of the images in pixels, by default; the set's own where it has one.
        kind: "embedded", "download" (torchvision fetches it and checks it) or "by hand".
        megabytes: Size of the download; 0 where it is not known.
        get: Where it comes from, and what to fetch there.
        folder: What must then lie below the data root: `<folder>/<marker>`, or `<marker>` itself.
        marker: A file or folder by which the set is known.
        layout: What it must hold.
        splitting: Whose splits these are.
        masks: What its object masks are; "" where it has none.
        mirror: Whether a mirrored picture keeps its class.
        licence: A note on the terms of use; the set's own page has the last word.
        citation: Whom to cite.
    """

    name: str
    title: str
    classes: int
    kinds: str
    counts: Mapping[str, int]
    size: int
    kind: str
    megabytes: int = 0
    get: str = ""
    folder: str = ""
    marker: str = ""
    layout: str = ""
    splitting: str = "official"
    masks: str = ""
    mirror: bool = True
    licence: str = "none stated; for research"
    citation: str = ""


_CUB = Facts(
    name="cub200",
    title="CUB-200-2011, cropped to the bird's box",
    classes=200,
    kinds="species of birds",
    counts={"train": 5994, "test": 5794},
    size=80,
    kind="by hand",
    megabytes=1151,
    get="CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158",
    folder="cub200",
    marker="CUB_200_2011/images.txt",
    layout="images/, images.txt, image_class_labels.txt, train_test_split.txt, bounding_boxes.txt, classes.txt",
    licence="images belong to their owners; non-commercial research and teaching only",
    citation="Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001",
)

_SETS = (
    Facts(
        name="cluttered_digits",
        title="Handwritten digits on photographs, among fragments of others",
        classes=10,
        kinds="digits",
        counts={"train": 8000, "test": 2000},
        size=32,
        kind="embedded",
        splitting="by source digit",
        masks="the digit's ink",
        mirror=False,
        licence="made from scikit-learn's digits (CC BY 4.0) and sample photographs (CC BY 2.0)",
        citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998",
    ),
    Facts(
        name="cifar10",
        title="CIFAR-10",
        classes=10,
        kinds="things and animals",
        counts={"train": 50_000, "test": 10_000},
        size=32,
        kind="download",
        megabytes=170,
        get="cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        folder="cifar10",
        marker="cifar-10-batches-py",
        layout="data_batch_1 ... data_batch_5, test_batch, batches.meta; or train-*.parquet and test-*.parquet "
        "of a Hugging Face copy beside them",
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Facts(
        name="cifar100",
        title="CIFAR-100, fine labels",
        classes=100,
        kinds="things, plants and animals",
        counts={"train": 50_000, "test": 10_000},
        size=32,
        kind="download",
        megabytes=169,
        get="cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        folder="cifar100",
        marker="cifar-100-python",
        layout="train, test, meta; or train-*.parquet and test-*.parquet of a Hugging Face copy beside them",
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    Facts(
        name="svhn",
        title="Street View House Numbers, cropped digits",
        classes=10,
        kinds="digits",
        counts={"train": 73_257, "test": 26_032, "extra": 531_131},
        size=32,
        kind="download",
        megabytes=1576,
        get="train_32x32.mat, test_32x32.mat and extra_32x32.mat from http://ufldl.stanford.edu/housenumbers/",
        folder="svhn",
        marker="*_32x32.mat",
        layout="the .mat file of each split that is used",
        mirror=False,
        licence="non-commercial use only",
        citation="Netzer et al., Reading Digits in Natural Images, NIPS workshop 2011",
    ),
    Facts(
        name="stl10",
        title="STL-10, labelled images",
        classes=10,
        kinds="things and animals",
        counts={"train": 5000, "test": 8000, "all": 13_000},
        size=96,
        kind="download",
        megabytes=2640,
        get="stl10_binary.tar.gz from https://cs.stanford.edu/~acoates/stl10/",
        folder="stl10",
        marker="stl10_binary",
        layout="train_X.bin, train_y.bin, test_X.bin, test_y.bin",
        licence="images come from ImageNet, whose terms hold: research only",
        citation="Coates, Lee and Ng, An Analysis of Single-Layer Networks, AISTATS 2011",
    ),
    Facts(
        name="caltech101",
        title="Caltech-101, without the background class",
        classes=101,
        kinds="things and animals",
        counts={"train": 1515, "test": 7162, "all": 8677},
        size=32,
        kind="download",
        megabytes=137,
        get="caltech-101.zip from https://data.caltech.edu/records/mzrjq-6wc02",
        folder="caltech101",
        marker="101_ObjectCategories",
        layout="a folder of image_0001.jpg, ... for each class",
        splitting="none published: 15 images of each class to train, drawn once for all; the others to test",
        licence="CC BY 4.0",
        citation="Fei-Fei, Fergus and Perona, Learning Generative Visual Models from Few Examples, 2004",
    ),
    Facts(
        name="caltech256",
        title="Caltech-256, without the clutter class",
        classes=256,
        kinds="things and animals",
        counts={"train": 7680, "test": 22_100, "all": 29_780},
        size=32,
        kind="download",
        megabytes=1184,
        get="256_ObjectCategories.tar from https://data.caltech.edu/records/nyy15-4j048",
        folder="caltech256",
        marker="256_ObjectCategories",
        layout="a folder 001.ak47, 002.american-flag, ... of each class",
        splitting="none published: 30 images of each class to train, drawn once for all; the others to test",
        licence="CC BY 4.0",
        citation="Griffin, Holub and Perona, Caltech-256 Object Category Dataset, CNS-TR-2007-001",
    ),
    Facts(
        name="oxford_pets",
        title="Oxford-IIIT Pet",
        classes=37,
        kinds="breeds of cats and dogs",
        counts={"train": 3680, "test": 3669},
        size=128,
        kind="download",
        megabytes=811,
        get="images.tar.gz and annotations.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets/",
        folder="oxford_pets",
        marker="oxford-iiit-pet",
        layout="images/, annotations/trainval.txt, annotations/test.txt, annotations/trimaps/",
        masks="the trimap's inside, without its border",
        licence="CC BY-SA 4.0; images belong to their owners",
        citation="Parkhi et al., Cats and Dogs, CVPR 2012",
    ),
    _CUB,
    replace(
        _CUB,
        name="cub200_whole",
        title="CUB-200-2011, whole pictures",
        size=224,
        masks="the bird's box",
    ),
    Facts(
        name="event8",
        title="UIUC Sports Event (Event-8)",
        classes=8,
        kinds="sports events",
        counts={"train": 560, "test": 1019, "all": 1579},
        size=32,
        kind="by hand",
        get="event_dataset.rar from http://vision.stanford.edu/lijiali/event_dataset/",
        folder="event8",
        marker="event_img",
        layout="a folder of .jpg pictures for each of RockClimbing, badminton, bocce, croquet, polo, rowing, sailing, "
        "snowboarding",
        splitting="none published: 70 images of each class to train, drawn once for all; the others to test "
        "(the paper counts 1,574 in all)",
        citation="Li and Fei-Fei, What, Where and Who?, ICCV 2007",
    ),
    Facts(
        name="action40",
        title="Stanford 40 Actions",
        classes=40,
        kinds="actions of people",
        counts={"train": 4000, "test": 5532, "all": 9532},
        size=32,
        kind="by hand",
        megabytes=305,
        get="Stanford40_JPEGImages.zip and Stanford40_ImageSplits.zip from "
        "http://vision.stanford.edu/Datasets/40actions.html",
        folder="action40",
        marker="ImageSplits",
        layout="JPEGImages/applauding_001.jpg, ...; ImageSplits/applauding_train.txt, applauding_test.txt, ...",
        citation="Yao et al., Human Action Recognition by Learning Bases of Action Attributes and Parts, ICCV 2011",
    ),
    Facts(
        name="scene67",
        title="MIT Indoor Scenes (Scene-67)",
        classes=67,
        kinds="indoor scenes",
        counts={"train": 5360, "test": 1340, "all": 15_620},
        size=32,
        kind="by hand",
        megabytes=2400,
        get="indoorCVPR_09.tar, TrainImages.txt and TestImages.txt from http://web.mit.edu/torralba/www/indoor.html",
        folder="scene67",
        marker="TrainImages.txt",
        layout="TrainImages.txt, TestImages.txt, and Images/ with airport_inside/, artstudio/, ...",
        splitting="official, of 100 images of each class; all is every picture in Images (the paper counts 15,613)",
        citation="Quattoni and Torralba, Recognizing Indoor Scenes, CVPR 2009",
    ),
    Facts(
        name="object_discovery",
        title="Object Discovery, the subsets of 100",
        classes=3,
        kinds="airplane, car, horse",
        counts={"test": 300},
        size=32,
        kind="by hand",
        get="ObjectDiscovery-data.zip from http://people.csail.mit.edu/mrub/ObjectDiscovery/",
        folder="object_discovery",
        marker="Data/Airplane100",
        layout="Data/Airplane100, Data/Car100 and Data/Horse100: .jpg pictures, and GroundTruth/ with a .png of the "
        "same name for each",
        splitting="none: all of it is for evaluation; some of its pictures hold no object",
        masks="the object",
        citation="Rubinstein et al., Unsupervised Joint Object Discovery and Segmentation, CVPR 2013",
    ),
)

CATALOGUE: Mapping[str, Facts] = {facts.name: facts for facts in _SETS}
"""The named data sets, by name."""
