import { readFileSync } from "node:fs";
import { missingExt4Tools } from "../../local/lab/ext4.ts";
import { need, type ToolNeed } from "../clients/tools.ts";
import { findKernel } from "./guest/kernel.ts";

export const BUSYBOX = "/bin/busybox";

/** What a VM needs; a skipped test names what is missing. `.ci/vm-tools` brings all of it on Debian. */
export function needVm(): ToolNeed {
  const hidden = process.env["LEEWARD_HIDE_TOOLS"] !== undefined;
  const missing = [
    ...missingExt4Tools(),
    ...(need("qemu-system-x86_64").note === "" ? [] : ["qemu-system-x86_64"]),
    ...(hidden || !isStatic(BUSYBOX) ? ["a static busybox"] : []),
    ...(hidden || findKernel() === undefined ? ["Debian's cloud kernel"] : []),
  ];
  const skip = missing.length > 0 && process.env["LEEWARD_REQUIRE_TOOLS"] === undefined;
  return { skip, note: missing.length > 0 ? ` (needs ${missing.join(", ")}: see .ci/vm-tools)` : "" };
}

/** An ELF program that names no interpreter runs without any library: nothing else is in the guest. */
function isStatic(path: string): boolean {
  try {
    return !readFileSync(path).subarray(0, 4096).includes("/ld-linux");
  } catch {
    return false;
  }
}
