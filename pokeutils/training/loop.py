"""A training from the first step to the last, through whatever interrupts it.

`train` makes a run folder or goes on with one; `fit` fills it. Weights after any number
of kills, stops and damaged checkpoints are, bit for bit on a CPU, those of a training
that nothing disturbed; where that cannot be, it refuses and says why.
"""

import contextlib
import math
import shutil
import signal
import sys
import threading

from pokeutils.common import device, distribution, files, plots
from pokeutils.data import dataset
from pokeutils.training import callbacks, checkpoints, guards, runs

RETRIES = 3  # times a run may go back to a checkpoint after an alarm


def train(recipe, source, seed=0, run=None, show=print, devices=None, **options):
    """Trains a `recipe.Recipe` on a picture set and returns the run folder.

    source: the name of one, or a `dataset.PictureSet` of the recipe's size.
    run: None goes on with the newest run of the same recipe, pictures and seed if that
        is unfinished, and else starts a new one; "new" always starts one; a folder or
        its name goes on with that one.
    devices: "all" GPUs of this machine or how many; None: POKEUTILS_DEVICES, else one.
        Of several processes (TF_CONFIG), the first has the run folder and the others
        return None.
    options: those of `fit`.
    Raises ValueError if the run was started with other values, or the pictures are of
    another size or too few for the recipe, `runs.RunIsBusy` if it is being trained,
    `guards.OutOfMemory` with a batch size to try, `distribution.Lost` if another
    process of this training has gone. A new run that fails in its first epoch is
    removed.
    """
    is_set = isinstance(source, dataset.PictureSet)
    data = source if is_set else dataset.load(source, recipe.size)
    recipe.check(data)  # refuses what it cannot learn from, before a folder is made
    team = distribution.Team(distribution.strategy(devices, show))
    new, lock = False, contextlib.nullcontext()
    if team.chief:
        run, new = choose_run(recipe, data, seed, run, show)
        lock = runs.lock(run, show)
    with lock:
        try:
            with team.scope():
                model = recipe.build(seed)
            if team.chief:
                fit(recipe, model, data, run, seed, show=show, team=team, **options)
            else:
                run = None
                follow(recipe, model, data, seed, show, team)
        except Exception as error:
            if team.lost(error):
                raise distribution.Lost(
                    "Another process of this training has ended, so this one cannot go "
                    "on. Nothing is lost but what came after the last checkpoint: make "
                    "the same call again in all processes."
                ) from error
            new = new and not isinstance(error, guards.Alarm) and _is_empty(run)
            if new:
                shutil.rmtree(run, ignore_errors=True)
            if not guards.is_out_of_memory(error):
                raise
            model = None
            raise guards.OutOfMemory(recipe.batch, device.device_name(), new) from error
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
        different = runs.differences(runs.read_params(run), now, recipe)
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
        "and seed begins now and may come to the same point. Change the recipe, or "
        "train with on_alarm='retry'."
    )


def is_over(run):
    """Whether a run has nothing left to do: trained to its end, or given up by the
    guard."""
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


def fit(recipe, model, data, run, seed=0, team=None, **options):
    """Trains `model` to the end of `recipe`, from the newest checkpoint in `run` on.

    team: the processes that train it together, see `distribution.Team`.

    options: those of `Training`. Ctrl-C finishes the step, saves and returns; SIGTERM
    finishes the step, saves and ends the program with exit code 0.
    Raises `guards.Alarm` if the run goes wrong before there is a good checkpoint.
    """
    training = Training(recipe, model, data, run, seed, team=team, **options)
    training.to_its_end()


def follow(recipe, model, data, seed, show, team):
    """What `fit` does in the processes that are not the chief: it writes nothing."""
    Follower(recipe, model, data, seed, show, team).to_its_end()


class Training:
    """A recipe, a model and a run folder, and what happens between them.

    minutes: stop after that time, at the end of an epoch
    evaluate: model -> number, the lower the better, asked every `evaluate_images`; the
        best generator is kept as best.keras (`callbacks.Best`)
    on_alarm: when the guard finds that the run has gone wrong, "stop" with the last
        good checkpoint, "retry" from there with other random numbers, or "ignore" it
    save_minutes: time between checkpoints
    also: more Keras callbacks
    team: the processes that train together, see `distribution.Team`
    """

    def __init__(
        self,
        recipe,
        model,
        data,
        run,
        seed=0,
        minutes=None,
        evaluate=None,
        evaluate_images=50_000,
        on_alarm="stop",
        save_minutes=5.0,
        also=(),
        show=print,
        team=None,
    ):
        if on_alarm not in ("stop", "retry", "ignore"):
            raise ValueError(f"on_alarm={on_alarm!r}; use 'stop', 'retry' or 'ignore'.")
        dataset.check_range(data.images)
        self.run, self.minutes, self.on_alarm = run, minutes, on_alarm
        self.also = also
        self.plan(recipe, model, data, seed, show, team)
        batch = recipe.batch

        guard = callbacks.Guard(run, batch, self.pictures, on_alarm == "ignore")
        facts = {
            "steps": self.steps,
            "steps_per_epoch": self.steps_per_epoch,
            "params": self.params,
        }
        checkpoint = callbacks.Checkpoint(
            run, batch, facts, guard, self.stop, save_minutes
        )
        milestones = recipe.shown().values()
        watchers = [
            callbacks.Log(run, batch, recipe.images, guard, show=show),
            guard,
            callbacks.Samples(run, batch, recipe.images, also=milestones),
        ]
        if evaluate:
            watchers.append(
                callbacks.Best(run, batch, evaluate, evaluate_images, checkpoint, show)
            )
        watchers.append(checkpoint)
        if minutes:
            watchers.append(callbacks.TimeLimit(minutes, show))
        self.guard, self.checkpoint = guard, checkpoint
        checkpoint.watchers = self.watchers = watchers
        if self.team.several:
            self.watchers = [distribution.Lockstep(self.team, self.stop, watchers)]

    def plan(self, recipe, model, data, seed, show, team):
        """What is the same in all processes that train one model."""
        self.recipe, self.model, self.data = recipe, model, data
        self.seed, self.show = seed, show
        self.team = team or distribution.Team(model.strategy)
        self.pictures = recipe.pictures(data)
        self.weights = recipe.weights(data)
        self.labels = recipe.labels(data)
        self.steps_per_epoch = max(len(self.pictures) // recipe.batch, 1)
        epochs = math.ceil(recipe.images / (self.steps_per_epoch * recipe.batch))
        self.steps = epochs * self.steps_per_epoch
        self.params = runs.params(recipe, data, seed)
        self.stop = Interruptions(show)
        if model.strategy:
            count = model.strategy.num_replicas_in_sync
            distribution.check(recipe, count, model.members)
            self.params["device"] = f"{count} x {self.params['device']}"
        self.team.check_same([self.params[k] for k in ("recipe", "data", "seed")])

    def to_its_end(self):
        """Loads and trains, whatever comes between."""
        with self.stop:
            self.begin(self.load())
            again = True
            while again:
                self.team.send(checkpoints.variables(self.model).values())
                try:
                    self.run_on()
                    again = False
                except guards.Alarm as alarm:
                    again = self.go_back(alarm)
                except (callbacks.Stopped, distribution.Halted):
                    self.leave()
                    again = False
                again = bool(self.team.total([again])[0])
        if self.stop.wanted not in (None, "Ctrl-C"):
            sys.exit(0)

    def load(self):
        """Puts the model into the state of the newest checkpoint; returns its facts."""
        checkpoints.sweep(self.run)
        facts = checkpoints.load(self.model, self.run, self.check, show=self.show)
        if facts:
            checkpoints.set_aside(self.run, facts["step"])
            runs.note_changes(self.run, facts["params"], self.params, self.show)
        guards.forecast(
            self.recipe,
            self.run,
            self.params["device"],
            state=checkpoints.size(self.model),
            generator=4 * self.model.averaged.count_params(),
            done=self.images,
            minutes=self.minutes,
            show=self.show,
        )
        return facts

    def check(self, facts):
        precisions = facts["params"]["dtype"], self.params["dtype"]
        if precisions[0] != precisions[1] and "mixed_float16" in precisions:
            raise ValueError(
                f"{self.run.name} computes in {precisions[0]}, and this would be in "
                f"{precisions[1]}, which has another state. Set POKEUTILS_DTYPE="
                f"{precisions[0]} and make the same call again."
            )
        runs.check_params(self.run, self.recipe, self.data, self.seed, facts["params"])

    @property
    def images(self):
        """Images seen so far."""
        return self.model.step * self.recipe.batch

    def begin(self, facts):
        memory = facts["memory"] if facts else {}
        for watcher in self.checkpoint.watchers:
            watcher.set_model(self.model)
            watcher.begin(memory.get(type(watcher).__name__, {}))

    def run_on(self):
        """Trains from the model's step to the last, or until it is asked to stop."""
        make = dataset.numpy_batches if device.backend() == "jax" else dataset.batches
        self.model.stop_training = False
        while self.model.step < self.steps and not self.model.stop_training:
            start = self.model.step
            epoch, done = divmod(start, self.steps_per_epoch)
            # An epoch that was left in the middle is finished by a `fit` of its own.
            end = (epoch + 1) * self.steps_per_epoch if done else self.steps
            batches = make(
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
                self.steps_per_epoch - done,
                epochs=end // self.steps_per_epoch,
                initial_epoch=epoch,
                callbacks=[*self.watchers, *self.also],
            )
        for watcher in self.watchers:
            watcher.end()

    def leave(self):
        """Saves after a signal. After Ctrl-C the generator as well, to look at."""
        self.stop.wanted = self.stop.wanted or "a signal to another process"
        self.checkpoint.save()
        if self.stop.wanted == "Ctrl-C":
            callbacks.save_generator(self.model, self.run / "generator.keras")
        self.show(
            f"Stopped by {self.stop.wanted} at {self.images:,} of "
            f"{self.recipe.images:,} images. {self.run.name} is saved; the same call "
            "goes on from there."
        )

    def go_back(self, alarm):
        """Returns to the last good checkpoint. Returns whether to train on from it.

        Raises `alarm` if there is none but the untrained one.
        """
        alarms = runs.read_alarms(self.run)
        retries = sum(entry["action"] == "went back" for entry in alarms)
        again = self.on_alarm == "retry" and retries < RETRIES
        self.guard.keep_evidence(alarm, "went back" if again else "stopped")
        good = checkpoints.load(
            self.model, self.run, self.check, healthy=True, show=self.show
        )
        if good is None or not good["step"]:
            raise alarm
        checkpoints.drop_newer(self.run, good["step"])
        place = f"{self.run.name} is back at {good['images']:,} images"
        if not again:
            callbacks.save_generator(self.model, self.run / "generator.keras")
            self.show(f"Stopped: {alarm} {place}, its last good checkpoint.")
            return False
        self.show(f"Trying again: {alarm} {place}, with other random numbers.")
        self.model.random.state.assign([self.seed + 1 + retries, 0])
        self.begin(good)
        self.checkpoint.save(anew=True)
        return True


class Follower(Training):
    """A `Training` in a process that is not the chief: the same steps, no folder."""

    def __init__(self, recipe, model, data, seed, show, team):
        self.also = ()
        self.plan(recipe, model, data, seed, show, team)
        self.watchers = [distribution.Lockstep(team, self.stop)]

    def load(self):
        """Its state comes from the chief."""

    def begin(self, facts):
        """There is nothing to prepare."""

    def leave(self):
        self.stop.wanted = self.stop.wanted or "a signal to another process"
        self.show(f"Stopped by {self.stop.wanted}; the first process has saved all.")


class Interruptions:
    """While the `with` block runs, signals that ask to stop only set `wanted`: to
    "Ctrl-C" or to the signal's name. A second Ctrl-C interrupts at once.

    A signal that this process ignores (`nohup`) stays ignored; and outside of the main
    thread, Python leaves signals alone.
    """

    def __init__(self, show=print):
        self.show, self.wanted, self.before = show, None, {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) not in (signal.SIG_IGN, None):
                self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def note(self, number, frame):
        if number == signal.SIGINT and self.wanted:
            raise KeyboardInterrupt
        name = signal.Signals(number).name
        self.wanted = "Ctrl-C" if name == "SIGINT" else name
        with contextlib.suppress(RuntimeError):  # it came while something was printed
            self.show(f"{self.wanted}: finishing this step, then saving.", flush=True)
