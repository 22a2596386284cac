package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"origin-storm/reports"
	"origin-storm/storm/record"
	"origin-storm/storm/verdict"
)

func compareCommand() *cobra.Command {
	var asJSON, force bool
	c := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "statistics over two run folders that exist: what differs beyond chance",
		Long: `Holds the figures of two run folders against each other, with intervals and probabilities, and says when that means nothing: other
scenarios, other machines, an invalid run. Runs made at different times differ in what the machine did meanwhile, which no
statistics takes out: to decide on a change, use "gate", which measures both sides in turns.

Exit codes: 0 compared, whatever was found; 94 not comparable; 2 a folder that cannot be read.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var runs [2]*record.Run
			for i, dir := range args {
				var err error
				if runs[i], err = record.Open(dir); err != nil {
					return usagef("%w", err)
				}
			}
			found, err := verdict.Compare(runs[0], runs[1], force)
			if err != nil {
				return &verdict.Error{Err: err, Code: verdict.Invalid}
			}
			if asJSON {
				err = writeJSON(c.OutOrStdout(), found)
			} else {
				_, err = fmt.Fprint(c.OutOrStdout(), reports.CompareTable(found))
			}
			if err == nil && !found.Comparable {
				err = &verdict.Error{Err: errors.New("the runs are not comparable: " + found.Obstacles[0] + "; --force shows the figures all the same"), Code: verdict.Invalid}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	c.Flags().BoolVar(&force, "force", false, "show figures of runs that are not comparable, too")
	return c
}
