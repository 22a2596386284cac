package sim

import "time"

// Profile is a file that says what an origin costs: where that was found out, for which loads it holds, and how far off it was. Package
// calibrate makes one out of measured runs; people read it, and may write one.
type Profile struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	// Source says where the figures come from; Machine on what, and Program with which version of this program, they were measured; Made is
	// the day.
	Source  string    `yaml:"source"`
	Machine string    `yaml:"machine"`
	Program string    `yaml:"program"`
	Made    time.Time `yaml:"made"`
	// Cores is how many cores that machine has: all parts of the runs shared them.
	Cores int `yaml:"cores"`
	// Backends are the costs by the backend's name, as scenarios have it.
	Backends map[string]Calibrated `yaml:"backends"`
}

// Calibrated is what was fitted of one backend.
type Calibrated struct {
	Costs Costs `yaml:"costs"`
	// Valid is between which values the runs were that it was fitted on; what is simulated outside is extrapolated.
	Valid []Range `yaml:"valid"`
	// Fitted and HeldOut are how far the simulation was off: on the runs of the fit, and on others.
	Fitted  []Error `yaml:"fitted,omitempty"`
	HeldOut []Error `yaml:"held-out,omitempty"`
}

// Range is between which values of a quantity a profile was fitted. The quantities are those of Load.
type Range struct {
	Quantity string  `yaml:"quantity"`
	From     float64 `yaml:"from"`
	To       float64 `yaml:"to"`
}

// Error is one measured figure beside the simulated one.
type Error struct {
	Run    string `yaml:"run" json:"run"`       // the configuration, in words
	Figure string `yaml:"figure" json:"figure"` // such as "storm publish response p99"
	// Measured and Simulated are in Unit; CI is the measured figure's 95 % interval, where it has one.
	Measured  float64     `yaml:"measured" json:"measured"`
	CI        *[2]float64 `yaml:"ci,omitempty" json:"ci"`
	Simulated float64     `yaml:"simulated" json:"simulated"`
	Unit      string      `yaml:"unit" json:"unit"`
}

// Relative is by which part of the measured figure the simulated one is off; above 0 it is too high.
func (e Error) Relative() float64 { return e.Simulated/e.Measured - 1 }
