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
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, k := range scenarios.FaultKinds() {
				by := ""
				if k.By.About != "" {
					by = fmt.Sprintf("by: %v %s", k.Usual, k.By.About)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", k.Do, strings.Join(k.To, ", "), by, k.About)
			}
			return w.Flush()
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
