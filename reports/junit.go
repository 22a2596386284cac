package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"origin-storm/storm/record"
)

// suites is a JUnit document with one suite.
type suites struct {
	XMLName xml.Name `xml:"testsuites"`
	Suite   suite    `xml:"testsuite"`
}

type suite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr,omitempty"`
	// Properties are nil or have one at least, as JUnit's schema wants it.
	Properties *properties `xml:"properties"`
	Cases      []testcase  `xml:"testcase"`
}

type properties struct {
	Property []property `xml:"property"`
}

type property struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type testcase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Failure *message `xml:"failure"`
	Error   *message `xml:"error"`
	Out     string   `xml:"system-out,omitempty"`
	Skipped *message `xml:"skipped"`
}

type message struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes one testcase per threshold and backend, and one for the run's own verdict: a run without thresholds, or
// one that lost data, must not look green to who reads nothing else.
func writeJUnit(w io.Writer, r record.Results) error {
	s := suite{Name: plain(r.Scenario)}
	if r.Mode == "sim" { // whoever sees nothing but the suite's name must not take it for measured
		s.Name += " (simulated)"
		s.Properties = &properties{[]property{{"provenance", "simulated"}}}
	}
	for _, t := range r.Thresholds {
		c := testcase{Class: plain(r.Scenario + "." + t.Backend), Name: plain(t.Text)}
		unit := t.Unit
		if unit != "" {
			unit = " " + unit
		}
		switch {
		case t.Actual == nil:
			c.Error = &message{Message: plain("could not be told: " + t.Note)}
		case !t.OK:
			c.Failure = &message{Message: plain(fmt.Sprintf("actual %s%s, limit %s%s", number(*t.Actual), unit, number(t.Limit), unit)), Text: plain(t.Note)}
		}
		if t.Uncertain {
			c.Out = plain(t.Note)
		}
		s.Cases = append(s.Cases, c)
	}
	valid := testcase{Class: plain(r.Scenario), Name: "the run is valid"}
	if len(r.Doubts) > 0 {
		valid.Error = &message{Message: plain(r.Doubts[0]), Text: plain(strings.Join(r.Doubts, "; "))}
	}
	s.Cases = append(s.Cases, valid)
	verdict := testcase{Class: plain(r.Scenario), Name: "verdict"}
	switch r.Verdict {
	case "passed":
	case "failed":
		verdict.Failure = &message{Message: plain(r.Sentence), Text: plain(strings.Join(r.Reasons, "; "))}
	default:
		verdict.Error = &message{Message: plain(r.Sentence), Text: plain(strings.Join(r.Reasons, "; "))}
	}
	s.Cases = append(s.Cases, verdict)
	return writeSuite(w, s)
}

// writeSuite counts a suite's cases and writes it.
func writeSuite(w io.Writer, s suite) error {
	for _, c := range s.Cases {
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Error != nil {
			s.Errors++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites{Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
