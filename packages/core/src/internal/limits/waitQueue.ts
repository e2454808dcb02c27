/**
 * A FIFO queue of waiters that can be joined at the end, served from the front and left from anywhere in constant time.
 *
 * (A `Set` keeps the order, too, but finding its first element walks over all those deleted before it.)
 */
export class Place<A> {
  readonly value: A
  previous: Place<A> | undefined
  next: Place<A> | undefined = undefined
  inLine = true

  constructor(value: A, previous: Place<A> | undefined) {
    this.value = value
    this.previous = previous
  }
}

export class WaitQueue<A> {
  size = 0
  first: Place<A> | undefined = undefined
  private last: Place<A> | undefined = undefined

  join(value: A): Place<A> {
    const place = new Place(value, this.last)
    if (this.last === undefined) this.first = place
    else this.last.next = place
    this.last = place
    this.size += 1
    return place
  }

  /** Returns whether the place was still in line. */
  leave(place: Place<A>): boolean {
    if (!place.inLine) return false
    place.inLine = false
    if (place.previous === undefined) this.first = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.last = place.previous
    else place.next.previous = place.previous
    this.size -= 1
    // A chain of all past waiters would keep new objects alive for old ones.
    place.previous = undefined
    place.next = undefined
    return true
  }
}
