"""The recipes of this project: today's means, one by one."""

import dataclasses

from pokeutils.recipes.recipe import Recipe

COLOUR = (("brightness", 0.2), ("saturation", 0.5), ("contrast", 0.3))
TURNED = ("rotation", 15), ("scale", 1.2), ("aspect", 1.2)
STRONG = (*COLOUR, ("translation", 0.125), *TURNED, ("permute", 0.5))
GENTLE = ("brightness", 0.1), ("saturation", 0.25), ("contrast", 0.15)

MODERN64 = Recipe(
    name="modern64",
    size=64,
    images=1_500_000,
    generator_options=(("widths", (144, 80, 48)), ("start", 8)),
    batch=8,  # what counts is steps: half the images of a batch of 32 get as far
    learning_rates=(2.5e-4, 2.5e-4),
    r1_gamma=0.3,
    decay=0.3,
    augment=(*COLOUR, ("translation", 0.125)),
    ema_images=15_000,
)

# Two discriminators: the plain one, and after 15,000 images, in every other step, one
# that has seen ImageNet.
HYBRID64 = dataclasses.replace(
    MODERN64,
    name="hybrid64",
    images=1_500_000,
    learning_rates=(5e-4, 5e-4),  # ahead of half of them: outputs/gallery/sweep.csv
    decay=0.86,  # at the full rates KID came to a stand after 130,000 images
    second=(("input_size", 96),),
    second_interval=2,
    warm_up=15_000,
    ramp=10_000,
)

# 8,642 sprites instead of 649 artworks, crisp to the pixel. It goes on from the
# generator of hybrid64, which knows bodies, with new discriminators. The more certain
# they grow of the reals, the more pictures are turned and stretched. Creatures were
# grey under stronger changes of colour, and while colours changed places.
POSES64 = dataclasses.replace(
    HYBRID64,
    name="poses64",
    source="poses",
    generator_options=(*HYBRID64.generator_options, ("depth", 2)),
    warm="hybrid64",
    ease_in=4_000,
    warm_up=0,
    ramp=4_000,
    learning_rates=(3.5e-4, 3.5e-4),
    augment=(*GENTLE, ("translation", 0.125), *TURNED),
    adapt=(0.7, 20_000),
)

# Only the one that has seen ImageNet, as in Projected GAN. Tried once, for 30,000
# images, it was always right, and drew red patches on green: outputs/gallery/sweep.
PROJECTED64 = dataclasses.replace(
    MODERN64,
    name="projected64",
    discriminator="projected_discriminator",
    discriminator_options=(("channels", 3), ("input_size", 96)),
    loss="hinge",
    r1_gamma=0.0,
    betas=(0.0, 0.99),
)

# Pixel art: every picture is painted with 16 flat colours of its own choice.
PIXELS32 = Recipe(
    name="pixels32",
    source="sprites",
    size=32,
    images=400_000,
    generator_options=(
        ("widths", (128, 64)),
        ("detail", 32),
        ("start", 8),
        ("palette", 16),
    ),
    discriminator_options=(("widths", (48, 96, 128)),),
    batch=32,
    learning_rates=(2.5e-4, 2.5e-4),
    decay=0.3,
    r1_gamma=0.3,
    augment=(*COLOUR, ("translation", 0.125)),
    ema_images=10_000,
)

PIXELS64 = dataclasses.replace(
    MODERN64,
    name="pixels64",
    source="sprites",
    generator_options=(*MODERN64.generator_options, ("palette", 16)),
)

# Pixel art again, for five minutes on two CPU cores: small batches for many steps, and
# no augmentation, which pays only after far more pictures than these. Outlines and flat
# colours can be learned in that time. On artwork the same minutes end in rainbow smoke
# without a palette, and in garish crumbs with one.
QUICK32 = dataclasses.replace(
    PIXELS32,
    name="quick32",
    images=40_000,
    batch=16,
    learning_rates=(3e-4, 3e-4),
    augment=None,
    ema_images=5_000,
)

# Creatures of chosen types.
TYPES32 = dataclasses.replace(
    QUICK32,
    name="types32",
    source="artwork",
    images=60_000,
    generator_options=(("widths", (128, 64)), ("detail", 32), ("start", 8)),
    types=True,
    type_weight=1.0,
)

TYPES64 = dataclasses.replace(MODERN64, name="types64", types=True, type_weight=1.0)


# For tests: all parts, hardly any work.
TINY16 = Recipe(
    name="tiny16",
    size=16,
    images=640,
    generator_options=(
        *(("latent_dim", 16), ("widths", (8,))),
        *(("detail", 8), ("start", 8)),
    ),
    discriminator_options=(("widths", (8, 8)),),
    batch=32,
    r1_gamma=0.1,
    ema_images=200,
    augment=(("translation", 0.125),),
)
