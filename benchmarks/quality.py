"""Whether the fast step learns as much as the one that plain Keras layers make in
float32: KID after the same number of images, over seeds.

Every training is a process of its own on one core, as many at a time as there are.
"""

import concurrent.futures
import queue
import statistics

from benchmarks import cases, ours, race
from benchmarks.child import Clock, call, one_core
from pokeutils.common import device
from pokeutils.data import dataset

SAMPLES = 512


def trained(name, contestant, seed, images, core):
    """Trains one contestant and scores it; runs in the child.

    Returns {"kid x 1000": {judge: number}, "images": those seen, "seconds": the
    training's, by the clock}.
    """
    one_core(core)
    from pokeutils import sampling
    from pokeutils.evaluation import scoreboard

    case = cases.case(name)
    data = dataset.load(cases.source(), case["size"])
    pictures = cases.pictures(case, cases.source())[data.train]
    options = race.CONTESTANTS[contestant][1]
    runner = ours.Ours(case, pictures, seed=seed, **options)
    clock = Clock()
    runner.train(images // case["batch"])
    seconds = clock.read()["wall"]
    runner.model.recalibrate()
    samples = sampling.sample(runner.model.averaged, SAMPLES)
    networks = dict(zip(scoreboard.JUDGES, scoreboard.judges(), strict=False))
    kid = {
        judge: 1000 * scoreboard.kid(network(pictures), network(samples))[0]
        for judge, network in networks.items()
    }
    seen = images // case["batch"] * case["batch"]
    return {"kid x 1000": kid, "images": seen, "seconds": seconds}


def measure(options, say):
    """Yields, for each case, the scores of both steps, again after every training, so
    that what has been measured is kept."""
    cores = queue.Queue()
    for core in range(device.cores()):
        cores.put(core)

    def one(job):
        name, contestant, seed = job
        core = cores.get()
        try:
            found = call(
                "benchmarks.quality:trained",
                name=name,
                contestant=contestant,
                seed=seed,
                images=options.images,
                core=core,
            )
        finally:
            cores.put(core)
        say(f"{name}, {contestant}, seed {seed}: {found}")
        return job, found

    for name in options.cases:
        jobs = [
            (name, contestant, seed)
            for seed in range(options.seeds)
            for contestant in (race.OURS, race.PLAIN)
        ]
        rows = {race.OURS: {}, race.PLAIN: {}}
        with concurrent.futures.ThreadPoolExecutor(device.cores()) as pool:
            for (_, contestant, seed), found in pool.map(one, jobs):
                rows[contestant][f"seed {seed}"] = found
                yield f"quality {name}", {"images": options.images, "rows": rows}


def spread(row, judge):
    """Mean and standard deviation over seeds of a row's KID x 1000; the deviation of
    one seed is 0."""
    values = [found["kid x 1000"][judge] for found in row.values()]
    return statistics.mean(values), statistics.stdev(values) if values[1:] else 0.0
