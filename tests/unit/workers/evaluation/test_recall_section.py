"""Which pictures the recall benchmark takes, and how long it says that it will take."""

from pathlib import Path

from tests.image_factories import make_file, make_picture
from workers.evaluation.bench import Options
from workers.evaluation.recall_section import seconds, split_of


def test_without_data_drawings_take_every_role() -> None:
    split = split_of(Options(share=0.005))
    sources = {p.source for p in (*split.references, *split.distractors, *split.negatives)}
    assert sources == {"drawn"}
    assert len(split.references) >= 1
    assert min(len(split.distractors), len(split.negatives)) >= 4


def test_a_folder_is_the_users_own_benchmark(tmp_path: Path) -> None:
    for seed in range(12):
        (tmp_path / f"{seed}.png").write_bytes(make_file(make_picture(48, 32, seed=seed)))
    split = split_of(Options(data=tmp_path))
    assert {p.source for p in split.references} == {tmp_path.name}
    assert len(split.references) + len(split.distractors) + len(split.negatives) == 12
    drawn = split_of(Options(data=tmp_path, share=0.005), drawn=True)
    assert {p.source for p in drawn.references} == {"drawn"}


def test_drawn_pictures_on_top_take_longer(tmp_path: Path) -> None:
    assert seconds(Options(data=tmp_path, drawn=True)) > 2 * seconds(Options(data=tmp_path))
    assert seconds(Options(references=600)) > seconds(Options(references=300))
