package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"origin-storm/origin/document"
	"origin-storm/scenarios/ladder"
)

// importCommand writes a scenario from a manifest. A scenario has the figures themselves, not the manifest's name, so that what was
// taken over can be read and corrected, and a run needs no other file.
func importCommand() *cobra.Command {
	var mpd, hls, media string
	c := &cobra.Command{
		Use: "import --mpd FILE | --hls FILE [--media FILE]", Args: cobra.NoArgs,
		Short: "write a scenario with the renditions and the clock of a DASH or HLS manifest",
		RunE: func(c *cobra.Command, _ []string) error {
			if (mpd == "") == (hls == "") {
				return usagef("give one of --mpd and --hls")
			}
			file, read := mpd, ladder.ReadMPD
			if hls != "" {
				var segments []byte
				if media != "" {
					var err error
					if segments, err = document.Read(media, mostManifest); err != nil {
						return usagef("--media: %w", err)
					}
				}
				file, read = hls, func(b []byte) (ladder.Ladder, error) { return ladder.ReadHLS(b, segments) }
			}
			b, err := document.Read(file, mostManifest)
			if err != nil {
				return usagef("%w", err)
			}
			l, err := read(b)
			if err != nil {
				return usagef("%s: %w", file, err)
			}
			for _, text := range l.Warnings {
				fmt.Fprintf(c.ErrOrStderr(), "%s: warning: %s\n", file, text)
			}
			base := filepath.Base(file)
			_, err = c.OutOrStdout().Write(l.Scenario(strings.TrimSuffix(base, filepath.Ext(base)), base))
			return err
		},
	}
	c.Flags().StringVar(&mpd, "mpd", "", "a DASH manifest")
	c.Flags().StringVar(&hls, "hls", "", "an HLS multivariant playlist")
	c.Flags().StringVar(&media, "media", "", "with --hls: one of its media playlists, which says how long segments last")
	return c
}

// mostManifest is how many bytes a manifest may have.
const mostManifest = 16 << 20
