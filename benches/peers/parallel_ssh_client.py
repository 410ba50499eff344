"""COMMANDS one after the other on each host, hosts side by side: parallel-ssh."""
import resource
import sys

from pssh.clients import ParallelSSHClient
from pssh.config import HostConfig

folder, user, commands, ports = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split(",")
config = [HostConfig(port=int(port), user=user, private_key=f"{folder}/user") for port in ports]
client = ParallelSSHClient(["127.0.0.1"] * len(ports), host_config=config, pool_size=len(ports), allow_agent=False)
answers = 0
for number in range(commands):
    outputs = client.run_command(f"echo {number}", stop_on_errors=False)
    client.join(outputs)
    for output in outputs:
        if output.exception is None:
            answers += output.exit_code == 0 and list(output.stdout) == [str(number)]
print("answers", answers)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
