"""``safelight labels``: thousands of labels from a data set of pictures with several labels each.

``train``, ``evaluate`` and ``compare`` are here; what is in force in the workers is ``published_labels``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.encoders import TRAIN_HINT
from console.cli.session import Session, session_of, with_store
from shared.config import Settings
from shared.errors import UsageError
from shared.ports import Store
from shared.sealing import Sealer

if TYPE_CHECKING:
    from workers.encoders.encoder import Encoder
    from workers.encoders.names import EncoderName

app = typer.Typer(help="Label spaces: many labels at once, learnt from labelled pictures.", no_args_is_help=True)
ManifestOption = Annotated[
    Path,
    typer.Option("--manifest", exists=True, dir_okay=False, help='JSON lines: {"image": PATH, "labels": [NAME, …]}.'),
]
SecondsOption = Annotated[float, typer.Option(min=1.0, help="Processor seconds of a training.")]
DimensionsOption = Annotated[int, typer.Option(min=1, max=512, help="Directions of the label space.")]
NearestOption = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Labels that an image is given at most, the nearest ones.", show_default="256"),
]
WithinOption = Annotated[
    float | None, typer.Option(min=0, max=100, help="Score that a label is given from.", show_default="50")
]


@app.command()
def train(
    context: typer.Context,
    manifest: ManifestOption,
    output: Annotated[Path, typer.Option("-o", "--output", file_okay=False, help="Folder of the label network.")],
    dimensions: DimensionsOption = 128,
    least: Annotated[int, typer.Option(min=1, help="Images that a label needs to count.")] = 5,
    seconds: SecondsOption = 60.0,
    full: Annotated[
        bool, typer.Option("--full", help="Train the encoder too, not only a head on its vectors.")
    ] = False,
) -> None:
    """Learn a label space and a network that finds an image's place in it.

    The labels' points come from how often labels are seen together (pointwise mutual information, its largest
    eigenvectors); a network learns where an image's labels point to. A quarter of the pictures is held out: the scores'
    precision and the figures are measured there.
    """
    session = session_of(context)
    try:
        from workers.training import label_study
        from workers.training.label_network import LabelTraining
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    from workers.labels.manifest import read_manifest
    from workers.training.label_pictures import embed

    encoder = configured_encoder(session)
    pictures = label_study.read_pictures(read_manifest(manifest), encoder.side, session.note)
    inputs = pictures.squares if full else embed(pictures.squares, encoder)
    study = label_study.study_of(pictures, inputs, dimensions, least)
    config = LabelTraining(seconds=seconds)
    start = label_study.restored(study, _weights(session)) if full else None
    try:
        card = label_study.train(study, config, output, encoder, session.note, start)
    except ValueError as error:
        raise UsageError(str(error)) from error
    session.row(
        {"output": str(output), "labels": len(card.names), **card.figures},
        f"wrote {output}: {len(card.names)} labels in {study.space.points.shape[1]} directions; mean average precision"
        f" {card.figures['map']:.3f} on {card.figures['held_out_pictures']} held-out pictures",
    )


@app.command()
def evaluate(
    context: typer.Context,
    network: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder that `labels train` wrote.")],
    manifest: ManifestOption,
    nearest: NearestOption = None,
    within: WithinOption = None,
) -> None:
    """Measure a label network on labelled pictures: mean average precision, and precision and recall of its answers."""
    import numpy as np

    from workers.labels.choice import changed
    from workers.labels.manifest import presence_of, read_manifest
    from workers.labels.network import LabelNetwork
    from workers.labels.space import average_precision
    from workers.training.label_pictures import embed, read_squares

    session = session_of(context)
    encoder = configured_encoder(session)
    loaded = LabelNetwork.load(network)
    if loaded.card.encoder not in {"", encoder.id}:
        raise UsageError(f"{network} was trained behind {loaded.card.encoder}, not {encoder.id}: train it again")
    labelled = read_manifest(manifest)
    squares, _ = read_squares([item.image for item in labelled], loaded.card.side, session.note)
    inputs = embed(squares, encoder) if loaded.card.encoder else squares.transpose(0, 3, 1, 2).astype(np.float32)
    cosines = loaded.cosines(inputs)
    presence = presence_of([item.labels for item in labelled], loaded.card.names)
    chosen = changed(loaded.card.choice, nearest, within).chosen(cosines, loaded.scores(cosines))
    right = int((chosen & presence).sum())
    precision = average_precision(cosines, presence)
    told = precision[~np.isnan(precision)]
    if not len(told):
        raise UsageError(f"no picture of {manifest} has a label that the network knows")
    row = {
        "pictures": len(labelled),
        "labels": len(told),
        "map": round(float(told.mean()), 4),
        "precision": round(right / max(1, int(chosen.sum())), 4),
        "recall": round(right / max(1, int(presence.sum())), 4),
    }
    session.row(
        row,
        f"mean average precision {row['map']:.3f} over {row['labels']} labels on {row['pictures']} pictures; of the"
        f" answers {row['precision']:.1%} are right, of the labels {row['recall']:.1%} are found",
    )


@app.command()
def compare(
    context: typer.Context,
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of image archives.")],
    labels: Annotated[int, typer.Option(min=10, max=20_000, help="Labels that are made up.")] = 1000,
    dimensions: DimensionsOption = 128,
    seconds: SecondsOption = 30.0,
    seed: Annotated[int, typer.Option(help="Of the labels.")] = 0,
) -> None:
    """Compare with L independent sigmoid outputs: the same pictures, made-up labels, trunk and processor seconds."""
    session = session_of(context)
    try:
        from workers.training import label_study
        from workers.training.label_network import LabelTraining
    except ModuleNotFoundError as error:
        raise UsageError(TRAIN_HINT) from error
    from workers.training.label_pictures import embed

    encoder = configured_encoder(session)
    pictures = label_study.read_archived(data, encoder.side, session.note)
    vectors = embed(pictures.squares, encoder)
    study = label_study.simulated_study(pictures, vectors, labels, dimensions, seed)
    figures = label_study.compare(study, LabelTraining(seconds=seconds), session.note)
    rows = [{"method": method, "dimensions": dimensions, "seconds": seconds, **of} for method, of in figures.items()]
    session.table(("method", "labels", "dimensions", "seconds", "steps", "map", "map_rarer_half"), rows)


def configured_encoder(session: Session) -> Encoder:
    """Return the encoder that the deployment's workers run."""
    from workers.encoders.encoder import Encoder

    return Encoder.configured(session.settings(), _encoder_name(session))


def _weights(session: Session) -> Path:
    from workers.encoders.names import card_of

    return card_of(session.settings(), _encoder_name(session)).files["fp32"].path


def _encoder_name(session: Session) -> EncoderName:
    from workers.encoders.in_force import in_force

    async def run(settings: Settings, store: Store, _: Sealer) -> EncoderName:
        return (await in_force(settings, store)).encoder

    return with_store(session, run)
