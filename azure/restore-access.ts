import { BlobSASPermissions } from "@azure/storage-blob";
import { RESTORE_GRANT_MS } from "../replication/limits.ts";
import type { Clock, RestoreAccess } from "../replication/ports.ts";
import type { Accounts } from "./accounts.ts";
import { restoredBlob } from "./disk-snapshots.ts";
import { grantTerm, signingKey } from "./signing.ts";

/** Grants to read one restored disk for an hour, and nothing else (rule 8). */
export function openRestoreAccess(accounts: Pick<Accounts, "of">, clock: Clock): RestoreAccess {
  return {
    grantRead: async (disk) => {
      const account = (await accounts.of(disk.itemId)).replicaOf(disk.diskId);
      const blob = restoredBlob(account, disk);
      const term = grantTerm(account, clock, RESTORE_GRANT_MS);
      const key = await signingKey(account, term);
      const values = { ...term, permissions: BlobSASPermissions.parse("r") };
      const url = key === undefined ? blob.generateSasUrl(values) : blob.generateUserDelegationSasUrl(values, key);
      return { url: await url, expiresMs: term.expiresOn.getTime() };
    },
  };
}
