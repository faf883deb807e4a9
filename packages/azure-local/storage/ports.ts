import { once } from "node:events";
import { createServer } from "node:net";
import { LocalError } from "../errors.ts";
import { STORAGE_PORT_MAX } from "../limits.ts";

export interface ServicePort {
  readonly service: "blob" | "queue";
  readonly account: string;
  readonly port: number;
}

/** Refuses a taken port before touching any file of the account: the program that holds it may use the same folder. */
export async function checkPort(wanted: ServicePort): Promise<void> {
  if (wanted.port === 0) return;
  const probe = createServer();
  try {
    probe.listen(wanted.port, "127.0.0.1");
    await once(probe, "listening");
  } catch (error) {
    throw portTaken(wanted, error);
  }
  probe.close();
  await once(probe, "close");
}

/**
 * Two free ports for an account made later: with `first` the next free ten, its blobs at 0 and its queues at 1, as the
 * local tools of Azure have them; without it any.
 */
export async function freePorts(
  first: number | undefined,
  inUse: ReadonlySet<number>,
): Promise<{ readonly blobPort: number; readonly queuePort: number }> {
  if (first === undefined) return { blobPort: 0, queuePort: 0 };
  for (let blobPort = first; blobPort < STORAGE_PORT_MAX; blobPort += 10) {
    const ports = [blobPort, blobPort + 1];
    if (!ports.some((port) => inUse.has(port)) && (await Promise.all(ports.map(isFree))).every(Boolean))
      return { blobPort, queuePort: blobPort + 1 };
  }
  throw new LocalError("port-in-use", `There are no two free ports from ${first} on for another storage account.`, {
    first,
  });
}

export function portTaken({ service, account, port }: ServicePort, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "EADDRINUSE") return cause;
  const option = `${service}Port`;
  return new LocalError(
    "port-in-use",
    `Port ${port} is taken, so the ${service} service of account ${account} cannot start.`,
    { port, account, option },
    {
      cause,
      hint: `Stop the program that uses port ${port}, or choose another one with the option ${option} of account ${account}.`,
    },
  );
}

async function isFree(port: number): Promise<boolean> {
  try {
    await checkPort({ service: "blob", account: "", port });
    return true;
  } catch {
    return false;
  }
}
