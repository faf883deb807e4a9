/** Every limit of the product with its reason; nothing else in the code invents a bound. Units stand last in each name. */

const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;

// --- Disks (DESIGN 7; Azure page blob limits, reference azure-docs storage-blob-scale-targets) ---
/** Page blobs and NBD exports are addressed in pages of this size. */
export const SECTOR_BYTES = 512;
/** Azure imports a VHD only when its size is whole MiB. */
export const DISK_ROUNDING_BYTES = MIB;
/** A page blob holds 8 TiB; one MiB is left for rounding and the footer. */
export const DISK_MAX_BYTES = 8 * TIB - MIB;
/** A fixed VHD ends in a footer of this size (Microsoft VHD specification, "Hard Disk Footer Format"). */
export const VHD_FOOTER_BYTES = 512;
/** An Azure VM carries at most 64 data disks and its OS disk. */
export const DISKS_MAX_COUNT = 65;

// --- Delta files (DESIGN 4) ---
/** One Put Blob carries the delta and one worker holds it in memory. */
export const DELTA_MAX_BYTES = 64 * MIB;
/** A frame decodes on its own; this bounds the memory of a decoder. */
export const FRAME_MAX_PLAIN_BYTES = MIB;
/** The journal segment of an epoch is cut at this size, so that even incompressible data with its tables fits DELTA_MAX_BYTES. */
export const EPOCH_MAX_DATA_BYTES = 48 * MIB;
/** More extents than this in one epoch cut it: it bounds the index of the open epoch and the table of the file. */
export const EPOCH_MAX_EXTENTS = 65_536;

// --- Apply (DESIGN 6) ---
/** Azure's Put Page takes at most 4 MiB. */
export const PUT_PAGE_MAX_BYTES = 4 * MIB;
/** Encoded bytes of one batch: one full delta always fits, many small ones share a batch. */
export const BATCH_MAX_BYTES = DELTA_MAX_BYTES;
/** Deltas of one batch: bounds the reads before the first write. */
export const BATCH_MAX_DELTAS = 64;
/** Page writes in flight for one item: 8 x 4 MiB is the memory they pin. */
export const PAGE_WRITES_IN_FLIGHT = 8;
/** How long a claim holds without renewal; the sweep frees it afterwards. */
export const CLAIM_MS = 30_000;
/** A queue handler hands on after this time, far below the host's ten minutes. */
export const SLICE_MS = 60_000;
/** Claims that one run may raise after unknown outcomes before it gives the message back to the queue. */
export const CLAIMS_PER_RUN = 4;

// --- Names ---
/** Container names end at 63 characters; the longest prefix and suffix leave 36 for the item (a GUID fits). */
export const ITEM_ID_MAX_LENGTH = 36;
export const DISK_ID_MAX_LENGTH = 80;
