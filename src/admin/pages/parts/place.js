// Where the reader is: the part of the address behind the #, so that every page can be linked to.

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter((part) => part !== "").map(decoded);
  return { page: parts[0] ?? "overview", rest: parts.slice(1), query: new URLSearchParams(query ?? "") };
}

export function link(page, rest = [], query = {}) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const text = asked.toString();
  return `#/${[page, ...rest.map(encodeURIComponent)].join("/")}${text && `?${text}`}`;
}

/** Keeps what a page shows in its address, without another step back. */
export function keep(page, rest, query) {
  history.replaceState(null, "", link(page, rest, query));
}
