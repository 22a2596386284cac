package cli

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"origin-storm/scenarios"
)

func scenariosCommand() *cobra.Command {
	c := &cobra.Command{Use: "scenarios", Short: "the library of scenarios, and checks of your own"}
	var set []string
	show := &cobra.Command{
		Use: "show SCENARIO", Short: "print a scenario as its author wrote it; with --resolved, as it is run", Args: cobra.ExactArgs(1),
	}
	resolved := show.Flags().Bool("resolved", false, "with all defaults and --set applied")
	show.Flags().StringArrayVar(&set, "set", nil, "override, such as readers.edges=80; may be repeated")
	show.RunE = func(c *cobra.Command, args []string) error {
		s, src, err := scenarios.Load(args[0], set...)
		if err != nil {
			return loading(err)
		}
		if *resolved || len(set) > 0 {
			if src, err = s.Marshal(); err != nil {
				return err
			}
		}
		_, err = c.OutOrStdout().Write(src)
		return err
	}
	c.AddCommand(show,
		&cobra.Command{Use: "list", Short: "the library", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range scenarios.Library() {
				first, _, _ := strings.Cut(strings.TrimSpace(s.About), ". ")
				fmt.Fprintf(w, "%s\t%s\n", s.Name, strings.TrimSuffix(strings.Join(strings.Fields(first), " "), "."))
			}
			return w.Flush()
		}},
		validateCommand(),
		importCommand(),
		&cobra.Command{Use: "faults", Short: "the kinds of faults that a scenario can have", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			fmt.Fprint(out, faultsHead)
			for _, k := range scenarios.FaultKinds() {
				fmt.Fprintf(out, "\n%s: %s\n  of: %s", k.Do, k.About, strings.Join(k.To, ", "))
				if k.By.About != "" {
					fmt.Fprintf(out, "; by: %v %s unless it says otherwise", k.Usual, k.By.About)
				}
				fmt.Fprintf(out, "\n  - %s\n", k.Example())
			}
			return nil
		}},
		&cobra.Command{Use: "behaviours", Short: "the behaviours of clients and of edge caches that a scenario can name", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, l := range []struct {
				field string
				list  []scenarios.Named
			}{{"readers.behaviour.clients", scenarios.Clients()}, {"readers.cache", scenarios.Caches()}} {
				for _, n := range l.list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.field, n.Name, n.About, n.Source)
				}
			}
			return w.Flush()
		}},
		&cobra.Command{Use: "schema", Short: "print the JSON schema of scenario files", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(scenarios.Schema())
			return err
		}})
	return c
}

// faultsHead says how a fault is written, before the kinds are listed.
const faultsHead = `Faults are a list in a scenario, each at an instant of one of its windows:

  faults:
    - {at: storm 1 + 4s, kill: pipeline b, for: 6s}
    - {at: quiet 2, slow: store, by: 300ms, share: 0.1, for: 2s}

for left out lasts until the end; share, where a kind takes it, picks a part of what it befalls, and rendition: NAME one of
them. At the command line: --set 'faults=[{at: storm 1 + 1s, kill: publish}]'.
`

func validateCommand() *cobra.Command {
	var set []string
	c := &cobra.Command{Use: "validate SCENARIO…", Short: "check scenario files", Args: cobra.MinimumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		var errs []error
		for _, name := range args {
			s, _, err := scenarios.Load(name, set...)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for _, text := range s.Warnings() {
				fmt.Fprintf(c.ErrOrStderr(), "%s: warning: %s\n", name, text)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: valid\n", name)
		}
		if err := errors.Join(errs...); err != nil {
			return loading(err)
		}
		return nil
	}}
	c.Flags().StringArrayVar(&set, "set", nil, "override, such as readers.edges=80; may be repeated")
	return c
}
