package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"origin-storm/storm/record"
	"origin-storm/storm/stage"
)

// display shows how a run gets on: one line that is rewritten on a terminal, a line for each step and interval elsewhere.
type display struct {
	out   io.Writer
	live  bool // a terminal, whose line can be rewritten
	width int
	dirty bool // the line holds something
	told  time.Time
}

func newDisplay(out io.Writer) *display {
	d := &display{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		d.live, d.width = true, 100
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			d.width = w
		}
	}
	return d
}

// progress is called from one goroutine at a time.
func (d *display) progress(p stage.Progress) {
	if p.Text != "" { // a step: its line stays
		d.clear()
		fmt.Fprintln(d.out, p.Text)
		return
	}
	if p.Now != "" {
		if !d.live && time.Since(d.told) < tellEvery {
			return
		}
		d.told = time.Now()
		d.show(p.Now)
		return
	}
	line := fmt.Sprintf("%s  %s  %v of %v, %v left in all", p.Backend, p.Phase, p.Elapsed.Round(time.Second), p.Total.Round(time.Second), p.Left.Round(time.Second))
	if i := p.Interval; i != nil {
		line += fmt.Sprintf("  writes %d", i.Writes)
		if i.WriteP50 != nil && i.Writes >= record.Needed(0.5) {
			line += fmt.Sprintf(" p50 %.1f", *i.WriteP50)
		}
		if i.WriteMax != nil {
			line += fmt.Sprintf(" max %.0f ms", *i.WriteMax)
		}
		rate, unit := i.ReadGbit, "Gbit/s"
		if rate < 0.1 {
			rate, unit = rate*1000, "Mbit/s"
		}
		line += fmt.Sprintf("  reads %d %.2f %s  errors %d", i.Reads, rate, unit, i.Errors)
	}
	d.show(line)
}

// tellEvery is how often it is said what is going on where each time takes a line.
const tellEvery = 10 * time.Second

// show writes a line that the next one replaces, where it can.
func (d *display) show(line string) {
	if !d.live {
		fmt.Fprintln(d.out, line)
		return
	}
	d.clear()
	if r := []rune(line); len(r) >= d.width {
		line = string(r[:d.width-1])
	}
	fmt.Fprint(d.out, line)
	d.dirty = true
}

func (d *display) clear() {
	if d.dirty {
		fmt.Fprint(d.out, "\r"+strings.Repeat(" ", d.width-1)+"\r")
		d.dirty = false
	}
}

func (d *display) end() { d.clear() }
