"""COMMANDS one after the other on each host, hosts side by side: asyncssh."""
import asyncio
import resource
import sys

import asyncssh

folder, user, commands, ports = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].split(",")


async def one(port):
    answers = 0
    async with asyncssh.connect(
        "127.0.0.1", int(port), username=user, client_keys=[f"{folder}/user"],
        known_hosts=f"{folder}/known_hosts", config=None, agent_path=None,
    ) as connection:
        for number in range(commands):
            ran = await connection.run(f"echo {number}")
            answers += ran.exit_status == 0 and ran.stdout == f"{number}\n"
    return answers


async def main():
    ran = await asyncio.gather(*(one(port) for port in ports), return_exceptions=True)
    print("answers", sum(answers for answers in ran if isinstance(answers, int)))
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


asyncio.run(main())
