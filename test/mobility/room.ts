import type { Files } from "../../mobility/system/files.ts";

/** What some files may still take together. */
export interface Room {
  bytes: number;
}

/**
 * A medium on which the files of these paths share a bounded room: what they write takes of it, and each of them that
 * is removed gives its bytes back.
 */
export function filesWithRoom(inner: Files, room: Room, paths: RegExp): Files {
  const opened = new Map<number, string>();
  const within = (file: number, lengthBytes: number, write: () => number): number => {
    if (!paths.test(opened.get(file) ?? "")) return write();
    if (lengthBytes > room.bytes) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    const count = write();
    room.bytes -= count;
    return count;
  };
  return {
    ...inner,
    open: (path, flags, mode) => {
      const file = inner.open(path, flags, mode);
      opened.set(file, path);
      return file;
    },
    write: (file, bytes, offset, lengthBytes, positionBytes) =>
      within(file, lengthBytes, () => inner.write(file, bytes, offset, lengthBytes, positionBytes)),
    writev: (file, parts, positionBytes) => {
      const lengthBytes = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return within(file, lengthBytes, () => inner.writev(file, parts, positionBytes));
    },
    remove: (path) => {
      if (paths.test(path) && Number.isFinite(room.bytes) && inner.list(folderOf(path)).includes(nameOf(path))) {
        room.bytes += inner.status(path).lengthBytes;
      }
      inner.remove(path);
    },
  };
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
