import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A script as an operator writes it for app-consistent points; every call stands in its log. */
export interface Script {
  readonly path: string;
  /** `--pre` and `--post` in the order of their calls, so far. */
  calls(): readonly string[];
}

/** `pre` and `post` are lines of sh. `$D` is the folder. */
export function makeScript(folder: string, pre = "exit 0", post = "exit 0"): Script {
  const path = join(folder, "customscript.sh");
  const log = join(folder, "calls");
  const text = `#!/bin/sh
D=${folder}
echo "$*" >> "$D/calls"
case "$1" in
--pre) ${pre} ;;
--post) ${post} ;;
esac
`;
  writeFileSync(path, text, { mode: 0o755 });
  return { path, calls: () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []) };
}
