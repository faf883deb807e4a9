/** Every bound of the command line, with its reason. */
const MIB = 1024 * 1024;

/** One call of the API or one range of a download: Azure's front end cuts at 230 s. */
export const CLI_REQUEST_MS = 230_000;
/** The mobility service of this machine answers its status socket at once, or hangs. */
export const CLI_STATUS_MS = 5_000;
/** How often the command line polls a restore. */
export const CLI_RESTORE_POLL_MS = 500;
/** A copy of 8 TiB inside an account takes hours; one that lasts longer than a day has failed. */
export const CLI_RESTORE_MS = 24 * 60 * 60_000;
/** Bytes requested at once, held in memory while they are written. */
export const CLI_DOWNLOAD_RANGE_BYTES = 16 * MIB;
/** How much of a disk one page list covers: with every other sector written, the list has some 15 MB. */
export const CLI_DOWNLOAD_WINDOW_BYTES = 256 * MIB;
/** Consecutive failures of one range before a download gives up. */
export const CLI_DOWNLOAD_ATTEMPTS = 5;

// --- Files ---
/** A file is read in pieces of this size, and rejected as soon as it is longer than any delta. */
export const CLI_FILE_PIECE_BYTES = 1024 * 1024;
/** Zeros between two ranges are downloaded too up to this length: a separate request takes longer. */
export const CLI_GAP_BYTES = 1024 * 1024;
/** Zero blocks of this size are left out of the file, which is sparse. */
export const CLI_SPARSE_BLOCK_BYTES = 64 * 1024;
