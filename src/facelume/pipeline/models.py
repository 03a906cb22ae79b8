"""Which face models there are, and where to get those that cannot be shipped."""

from __future__ import annotations

from dataclasses import dataclass

from facelume.errors import AssetError, UsageError
from facelume.face_model import FaceModel, load_open_face_model


@dataclass(frozen=True)
class FaceModelOffer:
    """One face model as ``facelume face-model`` lists it.

    Attributes:
        name: Name for ``--face-model``.
        summary: What it is.
        licence: Terms of the model itself.
        files: Official files it consists of.
        source: Where to ask for them.
    """

    name: str
    summary: str
    licence: str
    files: tuple[str, ...] = ()
    source: str = ""

    @property
    def is_included(self) -> bool:
        """True for the model that comes with the package."""
        return not self.files


FACE_MODELS = (
    FaceModelOffer(
        "open",
        "facelume's own: whole head, 80 identity, 52 ARKit expression, 80 albedo coefficients",
        "Apache-2.0, from CC0 and CC BY 4.0 data (see NOTICE)",
    ),
    FaceModelOffer(
        "bfm2009",
        "Basel Face Model 2009, the paper's, with the expressions of Guo et al. (Deep3D layout)",
        "Basel Face Model licence: registration, non-commercial",
        (
            "01_MorphableModel.mat",
            "Exp_Pca.bin",
            "facemodel_info.mat",
            "BFM_exp_idx.mat",
            "BFM_front_idx.mat",
        ),
        "https://faces.dmi.unibas.ch/bfm/ and https://github.com/sicxu/Deep3DFaceRecon_pytorch",
    ),
    FaceModelOffer(
        "bfm2017",
        "Basel Face Model 2017",
        "Basel Face Model licence: registration, non-commercial",
        ("model2017-1_face12_nomouth.h5",),
        "https://faces.dmi.unibas.ch/bfm/bfm2017.html",
    ),
    FaceModelOffer(
        "bfm2019",
        "Basel Face Model 2019",
        "Basel Face Model licence: registration, non-commercial",
        ("model2019_face12.h5",),
        "https://faces.dmi.unibas.ch/bfm/bfm2019.html",
    ),
    FaceModelOffer(
        "flame2020",
        "FLAME 2020",
        "FLAME licence: registration, non-commercial",
        ("generic_model.pkl", "FLAME_texture.npz"),
        "https://flame.is.tue.mpg.de/",
    ),
    FaceModelOffer(
        "flame2023",
        "FLAME 2023",
        "CC BY 4.0 (Open) or FLAME licence",
        ("flame2023.pkl",),
        "https://flame.is.tue.mpg.de/",
    ),
    FaceModelOffer(
        "ict",
        "ICT-FaceKit light",
        "MIT",
        ("FaceXModel/*.obj",),
        "https://github.com/ICT-VGL/ICT-FaceKit",
    ),
)


def load_face_model(name: str) -> FaceModel:
    """Loads a face model by name.

    Raises:
        UsageError: No model has this name.
        AssetError: The model is not part of this version, or its asset is missing or damaged.
    """
    offers = {offer.name: offer for offer in FACE_MODELS}
    if name not in offers:
        raise UsageError(f"no face model named {name!r}; there are {', '.join(offers)}")
    offer = offers[name]
    if not offer.is_included:
        raise AssetError(
            f"face model {name!r} needs files under their own licence ({', '.join(offer.files)}, from "
            f"{offer.source}), and this version cannot load them yet; use --face-model open"
        )
    return load_open_face_model()
