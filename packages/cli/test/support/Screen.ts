/**
 * A terminal as far as the live view needs one: lines that wrap, the cursor going up, and clearing.
 */
export class Screen {
  private readonly columns: number
  private readonly lines: Array<string> = [""]
  private row = 0
  private column = 0
  cursorVisible = true

  constructor(columns: number) {
    this.columns = columns
  }

  write(text: string): void {
    // oxlint-disable-next-line no-control-regex
    for (const [part, , parameter = "", command] of text.matchAll(/(\u001b\[([?0-9]*)([A-Za-z]))|[^]/gu)) {
      if (command !== undefined) this.obey(command, parameter)
      else if (part === "\n") this.lineFeed()
      else if (part === "\r") this.column = 0
      else this.print(part)
    }
  }

  /** The visible lines, without the empty ones below. */
  get text(): ReadonlyArray<string> {
    const seen = this.lines.map((line) => line.trimEnd())
    while (seen.at(-1) === "") seen.pop()
    return seen
  }

  private lineFeed(): void {
    this.row += 1
    this.column = 0
    if (this.row === this.lines.length) this.lines.push("")
  }

  private print(character: string): void {
    if (this.column === this.columns) this.lineFeed()
    const line = this.lines[this.row] ?? ""
    this.lines[this.row] = line.slice(0, this.column).padEnd(this.column) + character + line.slice(this.column + 1)
    this.column += 1
  }

  private obey(command: string, parameter: string): void {
    if (command === "A") this.row = Math.max(0, this.row - Number(parameter))
    if (command === "K" || command === "J") {
      this.lines[this.row] = (this.lines[this.row] ?? "").slice(0, this.column)
      if (command === "J") this.lines.splice(this.row + 1)
    }
    if (parameter === "?25") this.cursorVisible = command === "h"
  }
}
