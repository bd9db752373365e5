interface Node<T> {
  value: T | null;
  children: Map<string, Node<T>> | null;
}

/** Which API a path belongs to: one look-up per segment, however many APIs there are. */
export class ContextTree<T> {
  private readonly root: Node<T> = { value: null, children: null };

  /** @returns what has this context already; it stays, and `value` is not added */
  add(context: string, value: T): T | null {
    let node = this.root;
    for (const segment of context.slice(1).split('/')) {
      node.children ??= new Map();
      let child = node.children.get(segment);
      if (!child) node.children.set(segment, (child = { value: null, children: null }));
      node = child;
    }
    if (node.value !== null) return node.value;
    node.value = value;
    return null;
  }

  /** The longest context that these segments begin with, and how many of them it takes; null when there is none. */
  find(segments: readonly string[]): { value: T; depth: number } | null {
    let node: Node<T> | undefined = this.root;
    let best: { value: T; depth: number } | null = null;
    for (let depth = 0; depth < segments.length; depth++) {
      node = node.children?.get(segments[depth] as string);
      if (!node) break;
      if (node.value !== null) best = { value: node.value, depth: depth + 1 };
    }
    return best;
  }
}
