"""``mxft launch``: start a command as several workers, with ps-lite's servers and scheduler, and watch over them."""
import argparse

from mxft.commandline.arguments import Parser, whole
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft launch -n 2 -s 1 mxft recipe caltech256 --kv-store dist_sync \\
      --batch-size 64
  mxft launch -n 4 -s 4 -H host1,host2 --launcher ssh \\
      mxft train-softmax --kv-store dist_device_sync …
  sbatch --nodes=4 --wrap 'mxft launch -n 4 --launcher slurm …'

The command is run WORKERS times, each with its own share of the records;
--batch-size is that of one worker. Every line of output begins with the name of
its process. If one process fails, all end within 10 s with its exit status.
Ctrl-C lets worker 0 save first. More: recipes/many_machines.md.
"""


def parser():
    """Return the argument parser."""
    from mxft.distributed.launchers import LAUNCHERS

    p = Parser(prog="mxft launch", description="Run a command as several workers on MXNet's parameter server.",
               epilog=EXAMPLES, usage="mxft launch -n WORKERS [-s SERVERS] [options] COMMAND …")
    p.add_argument("-n", "--num-workers", type=whole(1), required=True, metavar="N", help="workers")
    p.add_argument("-s", "--num-servers", type=whole(1), metavar="N", help="servers (default: as many as workers)")
    p.add_argument("-H", "--hosts", "--hostfile", default="", metavar="HOSTS",
                   help="host,host or a file with one a line: servers and workers take them in turn")
    p.add_argument("--launcher", choices=LAUNCHERS, default="local",
                   help="local: all on this machine; ssh; slurm: srun, inside an allocation; manual: print the "
                        "commands to type (default: local)")
    p.add_argument("--address", metavar="IP", help="of this machine, as the others see it (default: found)")
    p.add_argument("--port", type=whole(1, 65535), metavar="N", help="of the scheduler (default: a free one)")
    p.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what every worker runs")
    return p


def main(argv=None):
    """Run ``mxft launch``."""
    args = parser().parse_args(argv)
    from mxft.distributed.launchers import describe_by_hand, plan_for, start_command
    from mxft.distributed.plan import read_hosts
    from mxft.distributed.supervision import supervise

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise InputError("command: expected what every worker runs, received none; mxft launch --help shows examples")
    members = plan_for(args.launcher, command, args.num_workers, args.num_servers or args.num_workers,
                       read_hosts(args.hosts), args.address, args.port)
    if args.launcher == "manual":
        print(describe_by_hand(members), flush=True)
        members = members[:1]
    return supervise(members, lambda member: start_command(member, args.launcher))
