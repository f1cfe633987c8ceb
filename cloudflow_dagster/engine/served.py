"""What a code server serves of a project, kept up with its folder."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from cloudflow_dagster.diagnostics import FlowError
from cloudflow_dagster.engine.definitions import FlowsData
from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError
from cloudflow_dagster.engine.listing import Listing
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.project.project import FILE_NAME

_FEW = 20
"""Changed flows whose snapshots are made at once: whoever changed them is going to look at them."""
_log = logging.getLogger("cloudflow")


class Served:
    """The flows as they were when last looked at. One thread looks; any may read.

    Args:
        data: What is made of the flows so far.

    Attributes:
        data: What is made of the flows.
        listing: What is told of all of them at once.
    """

    def __init__(self, data: FlowsData) -> None:
        self.data = data
        self.listing = Listing(data.folder)
        self._project = _project_seen(data.folder.project)

    def look(self, *, always: bool = False) -> bool:
        """Take over what has changed; return whether anything had.

        Whatever is wrong with the project's file, what was served stays; what is wrong with a
        flow is told by its job.

        Args:
            always: Whether to do as if something had changed.
        """
        started = time.monotonic()
        folder, seen = self.data.folder, _project_seen(self.data.folder.project)
        try:
            if seen != self._project:
                self._project = seen
                # What a job knows of its project is in it, so all are built anew.
                self._take_over(FlowFolder(find_project(folder.project.root)))
            elif folder.look() or always:
                self._take_over(folder)
            else:
                return False
        except FlowError as error:
            _log.error("The project file cannot be used, so all stays as it is:\n%s", error)
            return False
        except Exception:
            _log.exception("The flows could not be loaded, so all stays as it is.")
            return False
        _log.info("Loaded what has changed in %.2f s.", time.monotonic() - started)
        return True

    def _take_over(self, folder: FlowFolder) -> None:
        data = FlowsData(folder, self.data)
        listing = self.listing if folder is self.data.folder else Listing(folder)
        changed = data.content.changed_since(self.data.content)
        for job in changed if len(changed) <= _FEW else ():
            with suppress(UnknownFlowError):
                listing.make(job)
        self.data, self.listing = data, listing


def _project_seen(project: Project) -> tuple[int, int, int] | None:
    """Return times and size of the project's file, if it has one."""
    try:
        status = (project.root / FILE_NAME).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size
