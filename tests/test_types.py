import numpy as np
import torch

from facelume.face_model import load_open_face_model
from facelume.io import glb, obj
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart, is_part


def test_skin_eyes_and_mouth_are_all_parts_and_share_none():
    groups = ((FacePart.SKIN,), EYE_PARTS, MOUTH_PARTS)
    assert sorted(part for group in groups for part in group) == sorted(FacePart)


def test_every_part_gets_one_material_in_every_file_format():
    for groups in ([parts for _, parts, _ in glb._MATERIALS], [parts for _, parts in obj._GROUPS]):
        assert sorted(part for parts in groups for part in parts) == sorted(FacePart)


def test_numbers_are_those_of_the_shipped_face_model():
    """The asset stores numbers: they may not move."""
    topology, shape = load_open_face_model().topology, load_open_face_model().mean_shape
    assert topology.face_part.unique().tolist() == list(FacePart)

    def middle(part):
        return shape[topology.faces[topology.face_part == part].unique()].mean(0)

    assert middle(FacePart.LEFT_EYE)[0] > 0.02
    assert middle(FacePart.RIGHT_EYE)[0] < -0.02
    assert middle(FacePart.UPPER_TEETH)[1] > middle(FacePart.LOWER_TEETH)[1]
    assert middle(FacePart.TONGUE)[2] < middle(FacePart.LOWER_TEETH)[2]


def test_parts_are_found_in_maps_of_any_integer_type_with_empty_texels():
    part = torch.tensor([[-1, 0, 1], [2, 3, 6]])
    for dtype in (torch.int8, torch.int64):
        assert is_part(part.to(dtype), EYE_PARTS).tolist() == [[False, False, True], [True, False, False]]
    assert is_part(part, MOUTH_PARTS).tolist() == [[False] * 3, [False, True, True]]
    assert np.array_equal(part.numpy() == FacePart.SKIN, is_part(part, (FacePart.SKIN,)).numpy())
