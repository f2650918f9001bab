"""A recipe that trains in seconds, with all that has a state: shuffling, mirroring,
augmentation, penalty, averaging, decay."""

from pokeutils import recipes

TINY = recipes.Recipe(
    name="tiny8",
    size=8,
    images=2 * 14 * 16,
    batch=16,
    generator_options=(("latent_dim", 4), ("widths", (4,)), ("detail", 4)),
    discriminator_options=(("widths", (4,)),),
    augment=(("translation", 0.1),),
    r1_gamma=0.1,
    ema_images=200,
    decay=0.5,
)
