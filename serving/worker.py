"""The thread that makes videos, one at a time."""

import logging
import time
import uuid
from collections.abc import Sequence
from threading import Event, Thread

from facerecon.errors import FaceReconError
from facerecon.files import remove_temporary, sha256_file, sync_file, write_text
from facerecon.inference import media
from facerecon.inference.making import maker
from serving.forms import VideoForm
from serving.jobs import Job, Jobs, LostError
from serving.problems import own_fault
from serving.served import Served, loaded_tasks

LOG = logging.getLogger(__name__)

_IDLE_SECONDS = 1.0
_EXPIRE_SECONDS = 60.0


class _EndError(Exception):
    """The service ends."""


class VideoWorker:
    """Makes the videos of ``jobs`` by the models that are ``served``, until it is stopped."""

    def __init__(self, jobs: Jobs, served: Sequence[Served], software: dict[str, str], lease_seconds: float) -> None:
        self._jobs, self._software, self._lease = jobs, software, lease_seconds
        self._served = {each.task: each for each in served}
        self._name = uuid.uuid4().hex
        self._stop, self._wake, self._lost = Event(), Event(), Event()
        self._job: Job | None = None
        self._done = 0
        self._thread = Thread(target=self._run, name="videos", daemon=True)

    def start(self) -> None:
        """Begin; what a killed service has left is taken up as its lease ends."""
        self._thread.start()

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    def drop(self, job: str) -> None:
        """A job was removed."""
        if self._job is not None and self._job.id == job:
            self._lost.set()

    def stop(self) -> None:
        """End soon; the job under way goes back to the queue."""
        self._stop.set()
        self._wake.set()

    def close(self) -> None:
        """Wait for the end."""
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        expired = float("-inf")
        while not self._stop.is_set():
            try:
                if time.monotonic() - expired > _EXPIRE_SECONDS:
                    self._jobs.expire()
                    expired = time.monotonic()
                # what a former service has accepted waits for a model of its task
                job = self._jobs.claim(self._name, loaded_tasks(self._served.values()))
                if job is not None:
                    self._do(job)
                    continue
            # a full disk, a locked database: it is tried again
            except Exception:
                LOG.exception("videos cannot be made now")
            self._wake.wait(_IDLE_SECONDS)
            self._wake.clear()

    def _do(self, job: Job) -> None:
        self._job, self._done = job, 0
        self._lost.clear()
        ended = Event()
        renewing = Thread(target=self._renew, args=(job, ended), name="lease", daemon=True)
        renewing.start()
        try:
            self._make(job)
        except _EndError:
            self._jobs.put_back(job, self._name)
        except LostError:
            LOG.info("a video was removed while it was made")
        except FaceReconError as error:
            said = error.message
            for path in (job.upload, job.mask, job.folder):
                said = said.replace(str(path), "video" if path != job.mask else "mask")
            self._jobs.fail(job, self._name, said)
        except Exception as error:
            if not self._lost.is_set():
                self._jobs.fail(job, self._name, own_fault(error).detail)
        finally:
            ended.set()
            renewing.join()
            self._job = None

    def _renew(self, job: Job, ended: Event) -> None:
        """Keep the lease while the job is made; a removed one is noticed here."""
        while not ended.wait(self._lease / 4):
            try:
                self._jobs.renew(job, self._name, self._done)
            except LostError:
                self._lost.set()
                return
            # a full disk, a locked database: there are three more times before the lease ends
            except Exception:
                LOG.exception("a lease cannot be renewed now")

    def _told(self, done: int) -> None:
        self._done = done
        if self._lost.is_set():
            raise LostError
        if self._stop.is_set():
            raise _EndError

    def _make(self, job: Job) -> None:
        form = VideoForm.model_validate_json(job.form)
        mask = media.read_mask(job.mask) if job.mask.is_file() else None
        for left in job.folder.glob("unfinished-*"):
            left.unlink(missing_ok=True)
        remove_temporary(job.folder)
        suffix = ".mkv" if form.lossless else ".mp4"
        target = job.folder / f"unfinished-{uuid.uuid4().hex}{suffix}"
        try:
            # of its own: those that are warm are for photos
            with self._served[form.task].runtime(own=True) as (model, runtime):
                about = {"case": form.case, "reason": form.reason, "operator": job.operator, "software": self._software}
                asked = form.wanted(model=model, masked=mask is not None, **about)
                with maker(asked, runtime) as making:
                    made = making.clip(job.upload, media.clip_sha256(job.upload), mask, target, self._told)
                    name = f"{made.words.result}-{made.record.id[:12]}{suffix}"
                    side = making.sidecar(made, {name: sha256_file(target)})
            made.log()

            def publish() -> None:
                write_text(job.record, side, 0o600)
                target.replace(job.folder / name)

            sync_file(target)
            self._jobs.finish(job, self._name, len(made.record.frames), name, publish)
        finally:
            target.unlink(missing_ok=True)
