import { createServer } from "node:net";
import { LeewardError } from "../../replication/errors.ts";

/** The ports of the local cloud; 0 takes a free one. */
export interface CloudPorts {
  readonly app: number;
  readonly cacheBlob: number;
  readonly cacheQueue: number;
  readonly targetBlob: number;
  readonly targetQueue: number;
  readonly resourceManager: number;
  readonly eventTopic: number;
  /** TCP port of the lab VM's disks, or undefined for the unix socket alone. */
  readonly nbd: number | undefined;
}

/** Ports of `npm start`: the same numbers as Azure's local tools, and stored addresses stay valid between starts. */
export const FIXED_PORTS = {
  app: 7071,
  cacheBlob: 10000,
  cacheQueue: 10001,
  targetBlob: 10010,
  targetQueue: 10011,
  resourceManager: 10020,
  eventTopic: 10030,
  // A client that can connect has the raw disks: by default there is only the unix socket, which is private to its
  // user.
  nbd: undefined,
} as const;
export const FREE_PORTS: CloudPorts = {
  app: 0,
  cacheBlob: 0,
  cacheQueue: 0,
  targetBlob: 0,
  targetQueue: 0,
  resourceManager: 0,
  eventTopic: 0,
  nbd: undefined,
};

/** The command-line option that changes each port. */
export const PORT_OPTIONS: Readonly<Record<keyof CloudPorts, string>> = {
  app: "--app-port",
  cacheBlob: "--cache-port",
  cacheQueue: "--cache-queue-port",
  targetBlob: "--target-port",
  targetQueue: "--target-queue-port",
  resourceManager: "--resource-manager-port",
  eventTopic: "--event-topic-port",
  nbd: "--nbd-port",
};

/** Refuses a port in use before anything has started. `port-in-use` names the option that changes it. */
export async function checkPorts(ports: CloudPorts): Promise<void> {
  const seen = new Map<number, string>();
  for (const [name, option] of Object.entries(PORT_OPTIONS)) {
    const port = ports[name as keyof CloudPorts];
    if (port === undefined || port === 0) continue;
    const other = seen.get(port);
    if (other !== undefined) throw taken(port, option, `${other} asks for the same.`);
    seen.set(port, option);
    if (await isTaken(port)) throw taken(port, option, "Another program listens there.");
  }
}

/** A port of the loopback address that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function taken(port: number, option: string, why: string): LeewardError {
  return new LeewardError(
    "port-in-use",
    `Port ${port} is taken. ${why}`,
    { port, option },
    {
      hint: `Stop the program that uses it, or choose another port with ${option} PORT.`,
    },
  );
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(true));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(false)));
  });
}
