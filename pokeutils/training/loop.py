"""A training from the first step to the last, through whatever interrupts it.

`train` makes a run folder or goes on with one; `fit` fills it. Weights after any number
of kills, stops and damaged checkpoints are, bit for bit on a CPU, those of a training
that nothing disturbed; where that cannot be, it refuses and says why.
"""

import contextlib
import math
import shutil
import sys

from pokeutils.common import device, files, plots
from pokeutils.common.interruptions import Interruptions
from pokeutils.data import dataset
from pokeutils.training import callbacks, checkpoints, guards, runs
from pokeutils.training.devices import check_strategy, choose_strategy, step_of


def train(recipe, source=None, seed=0, run=None, show=print, devices=None, **options):
    """Trains a `Recipe` on a picture set and returns the run folder.

    source: the name of one, or a `dataset.PictureSet` of the recipe's size; None for
        the recipe's own.
    run: None goes on with the newest run of the same recipe, pictures and seed if that
        is unfinished, and else starts a new one; "new" always starts one; a folder or
        its name goes on with that one.
    show: takes the lines that are printed, and `flush=True` with some of them.
    devices: "all" GPUs of this machine or how many; None: POKEUTILS_DEVICES, else one.
    options: those of `Training`.

    Raises ValueError if the run was started with other values, or the pictures are of
    another size, `runs.RunIsBusy` if it is being trained, `guards.OutOfMemory` with a
    batch size to try. A new run that fails in its first epoch is removed.
    """
    is_set = isinstance(source, dataset.PictureSet)
    data = source if is_set else dataset.load(source or recipe.source, recipe.size)
    recipe.check(data)  # refuses what it cannot learn from, before a folder is made
    strategy = choose_strategy(devices)
    if strategy:
        check_strategy(recipe, strategy)
    device.tune(recipe.batch)
    run, new = choose_run(recipe, data, seed, run, show)
    with runs.lock(run, show):
        try:
            with strategy.scope() if strategy else contextlib.nullcontext():
                model = recipe.build(seed, step=step_of(strategy))
            fit(recipe, model, data, run, seed, show=show, **options)
        except Exception as error:
            if new and not isinstance(error, guards.Alarm) and _is_empty(run):
                shutil.rmtree(run, ignore_errors=True)
            if not guards.is_out_of_memory(error):
                raise
            model = None
            place = device.device_name()
            raise guards.OutOfMemory(recipe.batch, place, new) from error
    return run


# Which run ----------------------------------------------------------------------------


def choose_run(recipe, data, seed, run=None, show=print):
    """Returns the run folder that `train` means by `run`, and whether it is new."""
    if run == "new":
        return start_run(recipe, data, seed), True
    if run is not None:
        run = runs.find_run(run)
        runs.check_params(run, recipe, data, seed)
        return run, False
    now, told = runs.params(recipe, data, seed), False
    for run in reversed(runs.list_runs()):
        if run.name[4:] != recipe.name or not (run / "params.json").exists():
            continue
        try:
            different = runs.differences(runs.read_params(run), now, recipe)
        except ValueError as error:
            show(f"{run.name} is passed over: {error}")
            continue
        if different and not told and not is_over(run):
            show(f"{run.name} is unfinished, but not the same: {'; '.join(different)}.")
            told = True  # of the newest such run
        if different:
            continue
        if is_over(run):
            show(_how_it_ended(run))
            break
        show(f"Going on with {run.name}; run='new' would start afresh.")
        return run, False
    return start_run(recipe, data, seed), True


def _how_it_ended(run):
    alarms = runs.read_alarms(run)
    if not alarms or alarms[-1]["action"] != "stopped":
        return f"{run.name} is trained to its end; starting a new run like it."
    return (
        f"{run.name} was stopped: {alarms[-1]['sentence']} A new run with this recipe "
        "and seed begins now and may come to the same point: change one of them."
    )


def is_over(run):
    """Whether a run is trained to its end, or given up by the guard."""
    facts, alarms = checkpoints.newest_facts(run), runs.read_alarms(run)
    if facts is None:  # killed before its first checkpoint; or older than checkpoints
        return (run / "generator.keras").exists()
    if alarms and alarms[-1]["action"] == "stopped":
        return True
    return facts["step"] >= facts["steps"]


def _is_empty(run):
    """Whether a run has no epoch in its log and no trained checkpoint."""
    facts, log = checkpoints.newest_facts(run), run / "log.csv"
    logged = log.exists() and runs.read_log(run)["step"].size
    return not logged and not (facts and facts["step"])


def start_run(recipe, data, seed):
    """Makes a run folder for `recipe` on the prepared set `data`; fills params.json."""
    run = runs.new_run(recipe.name)
    pictures = data.images[data.train][: callbacks.GRID]
    plots.save_png(run / "samples" / "reals.png", plots.tile(pictures))
    files.write_json(run / "params.json", runs.params(recipe, data, seed))
    return run


# Training -----------------------------------------------------------------------------


def fit(recipe, model, data, run, seed=0, **options):
    """Trains `model` to the end of `recipe`, from the newest checkpoint in `run` on.

    options: those of `Training`. Ctrl-C finishes the step, saves and returns; SIGTERM
    finishes the step, saves and ends the program with exit code 0.
    Raises `guards.Alarm` if the run goes wrong before there is a good checkpoint.
    """
    device.tune(recipe.batch)
    Training(recipe, model, data, run, seed, **options).to_its_end()


class Training:
    """A recipe, a model and a run folder, and what happens between them.

    minutes: stop after that time, within seconds
    on_alarm: when the guard finds that the run has gone wrong, "stop" with the last
        good checkpoint, or "ignore" it
    save_minutes: time between checkpoints
    also: more Keras callbacks
    """

    def __init__(
        self,
        recipe,
        model,
        data,
        run,
        seed=0,
        minutes=None,
        on_alarm="stop",
        save_minutes=5.0,
        also=(),
        show=print,
    ):
        dataset.check_range(data.images)
        self.recipe, self.model, self.data = recipe, model, data
        self.run, self.seed, self.show = run, seed, show
        self.also = also
        self.pictures = recipe.pictures(data)
        self.weights, self.labels = recipe.weights(data), recipe.labels(data)
        self.params = runs.params(recipe, data, seed)
        if (count := getattr(model, "replicas", 1)) > 1:
            self.params["device"] = f"{count} x {self.params['device']}"
        self.stop = Interruptions(show)

        batch = recipe.batch
        self.steps_per_epoch = max(len(self.pictures) // batch, 1)
        epochs = math.ceil(recipe.images / (self.steps_per_epoch * batch))
        self.steps = epochs * self.steps_per_epoch

        facts = {
            "steps": self.steps,
            "steps_per_epoch": self.steps_per_epoch,
            "params": self.params,
        }
        inputs = recipe.inputs(model, data, callbacks.GRID)
        self.guard = callbacks.Guard(
            run, batch, self.pictures, inputs, on_alarm == "ignore"
        )
        self.checkpoint = callbacks.Checkpoint(
            run, batch, facts, self.guard, self.stop, save_minutes
        )
        self.samples = callbacks.Samples(run, batch, recipe.images, inputs)
        limit = callbacks.TimeLimit(minutes, self.stop, show) if minutes else None
        self.watchers = self.checkpoint.watchers = [
            callbacks.Log(run, batch, recipe.images, self.guard, limit, show=show),
            self.guard,
            self.samples,
            *([limit] if limit else []),
            self.checkpoint,
        ]

    def to_its_end(self):
        """Loads and trains, whatever comes between."""
        with self.stop:
            self.begin(self.load())
            try:
                self.run_on()
            except guards.Alarm as alarm:
                self.go_back(alarm)
            except callbacks.Stopped:
                self.leave()
        if self.stop.wanted in ("SIGTERM", "SIGHUP"):
            sys.exit(0)

    def load(self):
        """Puts the model into the state of the newest checkpoint; returns its facts."""
        checkpoints.sweep(self.run)
        facts = checkpoints.load(self.model, self.run, self.check, show=self.show)
        if facts:
            checkpoints.set_aside(self.run, facts["step"])
            runs.note_changes(self.run, facts["params"], self.params, self.show)
        return facts

    def check(self, facts):
        """Raises ValueError unless a checkpoint with these facts belongs here."""
        runs.check_params(self.run, self.recipe, self.data, self.seed, facts["params"])

    @property
    def images(self):
        """Images seen so far."""
        return self.model.step * self.recipe.batch

    def begin(self, facts):
        memory = facts["memory"] if facts else {}
        for watcher in self.watchers:
            watcher.set_model(self.model)
            watcher.begin(memory.get(type(watcher).__name__, {}))

    def run_on(self):
        """Trains from the model's step to the last, or until it is asked to stop."""
        self.model.stop_training = False
        while self.model.step < self.steps and not self.model.stop_training:
            start = self.model.step
            epoch, done = divmod(start, self.steps_per_epoch)
            # An epoch that was left in the middle is finished by a `fit` of its own.
            end = (epoch + 1) * self.steps_per_epoch if done else self.steps
            batches = dataset.batches(
                self.pictures,
                self.recipe.batch,
                end - start,
                self.seed,
                mirror=self.recipe.mirror,
                reshuffle=self.recipe.reshuffle,
                start=start,
                weights=self.weights,
                labels=self.labels,
            )
            self.model.fit(
                batches,
                steps_per_epoch=self.steps_per_epoch - done,
                epochs=end // self.steps_per_epoch,
                initial_epoch=epoch,
                callbacks=[*self.watchers, *self.also],
                verbose=0,
            )
        for watcher in self.watchers:
            watcher.end()

    def leave(self):
        """Saves the state first, then the generator and a sheet of it, to look at."""
        self.checkpoint.save()
        callbacks.save_generator(self.model, self.run / "generator.keras")
        self.samples.end()
        self.show(
            f"Stopped by {self.stop.wanted} at {self.images:,} of "
            f"{self.recipe.images:,} images.\n{self.run.name} is saved; the same call "
            "goes on from there."
        )

    def go_back(self, alarm):
        """Ends at the last good checkpoint; raises `alarm` if none was trained."""
        self.guard.keep_evidence(alarm)
        good = checkpoints.load(
            self.model, self.run, self.check, healthy=True, show=self.show
        )
        if good is None or not good["step"]:
            raise alarm
        checkpoints.drop_newer(self.run, good["step"])
        callbacks.save_generator(self.model, self.run / "generator.keras")
        self.show(
            f"Stopped: {alarm} {self.run.name} is back at {good['images']:,} images, "
            "its last good checkpoint."
        )
