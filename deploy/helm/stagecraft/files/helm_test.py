"""What a pod of `helm test` runs: waits until the service at the first argument is ready, and asks for its API under
the prefix of the second. Says what it met, and fails after the seconds of the third."""

import json
import sys
import time
import urllib.error
import urllib.request

base, prefix, patience = sys.argv[1:]
deadline = time.monotonic() + float(patience)


def answer(path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(base + path, timeout=3) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


status, said = answer("/readyz")
while status != 200 and time.monotonic() < deadline:
    time.sleep(1)
    status, said = answer("/readyz")
sys.stdout.write(f"{base}/readyz: {status} {said}\n")
documented, text = answer(prefix + "/openapi.json")
operations = len(json.loads(text)["paths"]) if documented == 200 else 0
sys.stdout.write(f"{base}{prefix}/openapi.json: {documented}, {operations} paths\n")
sys.exit(not (status == 200 and operations))
