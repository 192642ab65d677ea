"""Say octets to an address; print, in hexadecimal, what came back after the last ones, or what failed.

Takes host, port, and the octets in hexadecimal: each is said once the answer to the one before has come.
"""

import json
import socket
import sys


def say(host: str, port: int, octets: list[str]) -> str:
    answer = b""
    try:
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.settimeout(10)
            for each in octets:
                connection.sendall(bytes.fromhex(each))
                answer = connection.recv(65536)
    except OSError as error:
        return type(error).__name__
    return answer.hex()


json.dump(say(*map(json.loads, sys.argv[1:4])), sys.stdout)
