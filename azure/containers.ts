import { LIST_PAGE_MAX_COUNT, STORE_LIST_MS, STORE_WRITE_MS } from "../replication/limits.ts";
import { streamOfContainer } from "../replication/names.ts";
import type { BlobAccount } from "./connections.ts";
import { isMissing, reading, unless, writing } from "./errors.ts";
import { firstItems } from "./listing.ts";

/** The streams whose containers have this prefix, in order. */
export async function listStreams({ retrying }: BlobAccount, prefix: string): Promise<readonly number[]> {
  return reading("list streams", { prefix }, STORE_LIST_MS, (abortSignal) =>
    firstItems(
      retrying.listContainers({ prefix, abortSignal }).byPage({ maxPageSize: LIST_PAGE_MAX_COUNT }),
      (page) => page.containerItems.flatMap(({ name }) => streamOfContainer(prefix, name) ?? []),
      Number.POSITIVE_INFINITY,
    ),
  );
}

/** Azure keeps the name of a removed container busy for half a minute or more. Succeeds for a missing one. */
export async function removeContainer({ retrying }: BlobAccount, container: string): Promise<void> {
  await writing("remove container", { container }, STORE_WRITE_MS, (abortSignal) =>
    unless(isMissing, retrying.getContainerClient(container).delete({ abortSignal })),
  );
}
