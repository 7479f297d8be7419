"""The kith command: one group, its parts in files of their own."""

import sys

import click

from api.core.config import BadSetting
from deploy.cli import develop, house, keep, parts, running
from deploy.local import StackError
from deploy.migrate import NotReady


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def kith() -> None:
    """Kith: a marketplace for social care built on people's strengths.

    Start with: ./kith demo
    """


for command in (
    running.demo,
    running.up,
    house.status,
    house.down,
    house.reset,
    house.import_listings,
    house.admin,
    keep.backup,
    keep.restore,
    parts.api,
    parts.worker,
    parts.relay,
    parts.migrate_command,
    develop.check,
    develop.test,
    develop.bench,
):
    kith.add_command(command)


def main() -> None:
    """Run the command line; what went wrong is told in a sentence, without a traceback."""
    try:
        kith(standalone_mode=False)
    except (BadSetting, NotReady, StackError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        sys.exit(130)
