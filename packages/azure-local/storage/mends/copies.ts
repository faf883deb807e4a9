import { type Azurite, type BlobMetadataStore, changed } from "../azurite-modules.ts";
import { replaceMethod, type Undo } from "./patch.ts";

/**
 * Gives a copied blob its own lists. Azurite gives the copy the same array of page ranges (and of blocks) as its
 * source, so the next write to the copy also changes the source, a snapshot included: a restored disk would rewrite its
 * recovery point (rule 2). Every document passes "pre-insert" before it is stored; a shallow copy is enough, because
 * ranges and blocks are replaced and never edited.
 */
export function mendCopies(azurite: Azurite): Undo {
  return replaceMethod(
    azurite.blobMetadataStore,
    "init",
    (original) =>
      async function (this: BlobMetadataStore): Promise<void> {
        await original.call(this);
        const blobs = this.db.getCollection(this.BLOBS_COLLECTION);
        if (blobs === null) throw changed("the collection of blobs");
        blobs.on("pre-insert", (document) => {
          if (document.pageRangesInOrder !== undefined) document.pageRangesInOrder = [...document.pageRangesInOrder];
          if (document.committedBlocksInOrder !== undefined)
            document.committedBlocksInOrder = [...document.committedBlocksInOrder];
        });
      },
  );
}
