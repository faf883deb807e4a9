import { globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** In the order of their dependencies; one without a file is built into the kernel. */
const MODULES = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"];

export interface Kernel {
  readonly imagePath: string;
  readonly modulePaths: readonly string[];
}

/** Debian's cloud kernel as `.ci/vm-tools` unpacked it; undefined when it did not. */
export function findKernel(): Kernel | undefined {
  const folder = process.env["LEEWARD_VM_KERNEL"] ?? join(tmpdir(), "leeward-vm-kernel");
  const [imagePath] = globSync(join(folder, "boot/vmlinuz-*"));
  if (imagePath === undefined) return undefined;
  return { imagePath, modulePaths: MODULES.flatMap((name) => globSync(join(folder, `**/${name}.ko*`)).slice(0, 1)) };
}
