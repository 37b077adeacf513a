"""What a recipe may say, and its hash. `inference.recipes.validation` holds its content against this and the blocks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from inference.recipes.part import Block, BlockName, Part, canonical, digest_of, older


class RecipeError(Exception):
    """A recipe that cannot be run. The sentence names the file and the key."""


#: A film of 50 µm per pixel has 35 million; a made-up picture of this size, through a recipe's steps, fits into memory.
MOST_PIXELS = 64_000_000


def _fits(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > MOST_PIXELS:
        raise ValueError(f"{size[0]} by {size[1]} are more than {MOST_PIXELS // 1_000_000} million pixels")
    return size


#: Of what is no image.
NO_SIZE = (0, 0)
Size = Annotated[tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]], AfterValidator(_fits)]


class Task(Part):
    """What is asked of an image. `labels` renames the set's own labels; a label that is then no class leaves
    its image out. `read: binary` takes `label_binary` (classes: negative, positive). To `detect` is to put boxes around
    the outlined lesions of positive images; the surest box is the image's answer."""

    kind: Literal["classify", "segment", "detect"] = "classify"
    classes: tuple[str, ...] = Field(min_length=2)
    positive: str
    level: Literal["image", "patient"] = "image"
    read: Literal["label", "binary"] = "label"
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _classes_fit(self) -> Task:
        if self.positive not in self.classes:
            raise ValueError(f"positive: {self.positive!r} is none of the classes")
        if self.read == "binary" and len(self.classes) != 2:
            raise ValueError("read: binary needs two classes")
        if self.kind == "detect" and len(self.classes) != 2:
            raise ValueError("detect: two classes, with lesions to find and without")
        return self

    @property
    def truth(self) -> Literal["labels", "outlines", "boxes"]:
        """What its network learns from and answers with."""
        answers: dict[str, Literal["labels", "outlines", "boxes"]] = {
            "classify": "labels", "segment": "outlines", "detect": "boxes",
        }  # fmt: skip
        return answers[self.kind]

    @property
    def numbers(self) -> int:
        """How many a network gives: one a class, or one a place."""
        return len(self.classes) if self.kind == "classify" else 1


class Pyramid(Part):
    """A picture is a place seen from afar and from near ([42]): concentric squares, `levels` times as wide as the
    nearest one (from afar to near), all brought to one size and put one under another.

    Of slides (`um_per_px`: the resolution of the nearest square) the places are `fields` fields a slide, drawn by
    chance from its tissue: the positive class lies inside the outlines by half of its nearest square and more, the
    other one outside of them, and what is between is left out. Of images the place is the middle, and the widest square
    is as wide as the image's shorter side."""

    levels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 4, 1), min_length=2)
    um_per_px: float | None = Field(None, gt=0)
    fields: int = Field(40, ge=2)

    @model_validator(mode="after")
    def _from_afar_to_near(self) -> Pyramid:
        if list(self.levels) != sorted(set(self.levels), reverse=True) or self.levels[-1] != 1:
            raise ValueError(
                "levels: widths from afar to near, each less than the one before, the last one 1"
            )
        return self


class Data(Part):
    """Which images, how they are read and how they are divided.

    `protocol`: the set's `official` splits (all, or those named in `splits`), or `folds` over groups. `image_level`
    deals images one by one, whoever's they are: it leaks, it is there to show by how much, and only
    `train --inflated` runs it. `where` keeps samples by attribute.
    `size` is (height, width), of a table there is none; `roi: mask` cuts the region of the truth's outline and is
    declared as such.
    `near_duplicates: join` makes look-alikes one group before the folds are dealt, `refuse` stops the run.
    Pictures of more than `memory_mb` are never held together: each is read when it is looked at, and networks learn
    from shards that lie in the run folder while they do. Of a `pyramid` the size is that of all levels under another.
    """

    dataset: str
    protocol: Literal["official", "folds", "image_level"] = "folds"
    splits: tuple[str, ...] = ()
    folds: int = Field(5, ge=2)
    where: dict[str, str] = Field(default_factory=dict)
    limit_groups: int | None = Field(None, ge=4)
    limit_images_per_group: int | None = Field(None, ge=1)
    near_duplicates: Literal["refuse", "join"] = "refuse"
    colour: Literal["gray", "rgb"] = "gray"
    size: Size = NO_SIZE
    roi: Literal["none", "mask"] = "none"
    margin: float = Field(0.2, ge=0)
    memory_mb: int = Field(4096, ge=0)
    pyramid: Pyramid | None = None

    @model_validator(mode="after")
    def _levels_fit(self) -> Data:
        if self.pyramid is not None:
            count = len(self.pyramid.levels)
            if self.size[0] != count * self.size[1]:
                raise ValueError(f"size: {count} squares under another are {count} times as high as wide")
            if self.roi != "none":
                raise ValueError("roi: a pyramid has its own squares")
        return self

    @model_serializer(mode="wrap")
    def _as_before_shards(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = older(written(self), memory_mb=4096, pyramid=None)
        return content if self.size != NO_SIZE else {key: content[key] for key in content if key != "size"}


class Tissue(Part):
    """A second set whose labels say what a patch shows: what a `relevance_filter` learns from ([30]). Patches that look
    like its `irrelevant` labels are dropped. `size` as in `Data`; at most `limit` images a label."""

    dataset: str
    irrelevant: tuple[str, ...] = Field(min_length=1)
    size: Size
    limit: int = Field(200, ge=1)


class Patches(Part):
    """A grid of square instances of an image; `limit` of them, evenly spread over those with content."""

    size: int = Field(gt=0)
    stride: int = Field(gt=0)
    limit: int = Field(64, gt=0)


class Stream(Part):
    """One description of an image: its instances, what each becomes, and how they become one. Of a table `columns` is
    all that there is: the numbers of its row as they stand.

    `segment` before features: they describe what is inside the outline. Before a network: the square around the
    outline, `region_margin` of its side wider, is what is cut into `patches`, brought to `resize` and shown to it.
    `network` is trained on the instances first, unless `trained: false`. Several streams are put side by side
    (late fusion)."""

    patches: Patches | None = None
    resize: Size | None = None
    segment: BlockName | None = None
    features: tuple[BlockName, ...] = ()
    network: BlockName | None = None
    trained: bool = True
    aggregate: BlockName | None = None
    region_margin: float = Field(0.2, ge=0)
    columns: bool = False

    @model_serializer(mode="wrap")
    def _as_before_regions(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return older(written(self), region_margin=0.2, columns=False)

    @model_validator(mode="after")
    def _one_representation(self) -> Stream:
        if self.columns:
            if self != Stream.model_construct(columns=True):
                raise ValueError(
                    "columns: the row of a table is taken as it stands; nothing else is done to it"
                )
            return self
        if bool(self.features) == (self.network is not None):
            raise ValueError("a stream has either features or a network")
        if self.segment and self.network and self.resize is None:
            raise ValueError(
                "resize: a region has a size of its own; say to which one it is brought for a network"
            )
        if self.network is None and not self.trained:
            raise ValueError("trained: false is said of a network")
        return self


class TrainStage(Part):
    """What a stage of a training says otherwise than `train`, and what only stages say: `freeze` (so many stages of the
    backbone keep their values), `averaging` (of weights over steps, this share kept), `restarts` (so many runs from the
    same weights, and the mean of theirs)."""

    epochs: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    backbone_rate: float | None = Field(None, ge=0)
    weight_decay: float | None = Field(None, ge=0)
    schedule: BlockName | None = None
    loss: BlockName | None = None
    augment: tuple[BlockName, ...] | None = None
    freeze: int | None = Field(None, ge=0)
    averaging: float = Field(0.0, ge=0, lt=1)
    restarts: int = Field(1, ge=1)


class Train(Part):
    """How networks are trained, and what a fold's training part is used for inside.

    `balance: weights` puts class weights into the loss, `oversample` repeats rows of rare classes before the
    head is fitted. `patience`: stop after so many epochs in which the inner watching part got no better.
    `stages` follow each other, each from the weights that the one before ended with. `workers` processes read ahead,
    which changes no bit."""

    epochs: int = Field(10, ge=1)
    batch: int = Field(16, ge=1)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(3e-4, gt=0)
    backbone_rate: float = Field(0.1, ge=0)
    weight_decay: float = Field(1e-2, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: BlockName = Block(name="cosine")
    loss: BlockName = Block(name="cross_entropy")
    sampler: BlockName = Block(name="shuffled")
    augment: tuple[BlockName, ...] = ()
    balance: Literal["none", "weights", "oversample"] = "none"
    inner_folds: int = Field(5, ge=2)
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "single"] = "auto"
    workers: int = Field(0, ge=0)
    stages: tuple[TrainStage, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before_stages(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return older(written(self), stages=[], workers=0)

    def staged(self) -> tuple[tuple[Train, TrainStage], ...]:
        """Each stage: `train` as it holds in it, and what only stages say."""
        return tuple(
            (self.model_copy(update={"stages": (), **_said_of_both(stage)}), stage)
            for stage in self.stages or (TrainStage(),)
        )


def _said_of_both(stage: TrainStage) -> dict[str, Any]:
    said = {name: getattr(stage, name) for name in type(stage).model_fields if name in Train.model_fields}
    return {name: value for name, value in said.items() if value is not None}


class Search(Part):
    """Choose among settings of dotted recipe keys by grouped folds inside the training part."""

    method: BlockName = Block(name="grid")
    over: dict[str, tuple[Any, ...]] = Field(min_length=1)
    folds: int = Field(3, ge=2)


class Clusters(Part):
    """A report on what the first stream's network sees, as of [29]: an autoencoder with `hidden` units brings its
    features to two numbers, k-means finds groups in them, `most` at the most."""

    hidden: int = Field(500, ge=1)
    most: int = Field(8, ge=2)
    epochs: int = Field(200, ge=1)


class Evaluate(Part):
    """Which figures, besides AUC: sensitivity at this specificity, BreakHis' recognition rates, `clusters`."""

    specificity: float = Field(0.9, gt=0, lt=1)
    recognition_rates: bool = False
    clusters: Clusters | None = None

    @model_serializer(mode="wrap")
    def _as_before_clusters(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return older(written(self), clusters=None)


class Expect(Part):
    """The review's number beside what an honest protocol may reach."""

    measure: Literal[
        "accuracy",
        "balanced_accuracy",
        "auc",
        "image_recognition_rate",
        "patient_recognition_rate",
        "dice",
        "iou",
        "lesions_found",
    ]
    review: float | None = None
    honest_goal: float | None = None
    caveat: str = ""


class Recipe(Part):
    """One method of the review."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    reference: int = Field(ge=1)
    title: str
    task: Task
    data: Data
    preprocess: tuple[BlockName, ...] = ()
    tissue: Tissue | None = None
    streams: tuple[Stream, ...] = Field(min_length=1)
    select: tuple[BlockName, ...] = ()
    head: BlockName | None = None
    train: Train = Train()
    search: Search | None = None
    calibrate: bool = False
    evaluate: Evaluate = Evaluate()
    expect: Expect
    substitutions: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before_tissue(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return older(written(self), tissue=None)

    @property
    def of_table(self) -> bool:
        """Whether it reads rows of numbers and no images."""
        return self.streams[0].columns

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        first = self.streams[0]
        if self.of_table != (self.data.size == NO_SIZE):
            raise ValueError("data.size: images have one, height and width; the rows of a table have none")
        if self.of_table and (len(self.streams) > 1 or self.preprocess or self.data.roi != "none"):
            raise ValueError("columns: of a table there is one stream, and no image to prepare")
        learns = first.network is not None and first.trained
        kind = self.task.kind
        if self.data.pyramid is not None and kind != "classify":
            raise ValueError(f"data.pyramid: a place has a class; it is nothing to {kind}")
        if kind != "classify":
            if len(self.streams) > 1 or self.head or not learns or first.patches:
                raise ValueError(f"{kind}: one stream with a trained network over whole images, and no head")
        elif self.head is None and (len(self.streams) > 1 or not (learns or first.aggregate)):
            raise ValueError("head: only one trained network, or one bag classifier, can do without a head")
        if kind != "classify" and (self.search or self.calibrate):
            raise ValueError(f"{kind}: search and calibrate work on classes")
        if self.select and self.head is None:
            raise ValueError("select: there is no head to select for")
        return self

    @property
    def hash(self) -> str:
        """sha256 of the canonical JSON (sorted keys, no spaces, defaults filled in)."""
        return digest_of(self)

    @property
    def canonical(self) -> str:
        """The text that `hash` is the digest of; it is kept beside the weights."""
        return canonical(self)
