package process_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"boxoffice/test/process"
)

const asTest = "PROCESS_AS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asTest) != "" {
		beTest()
	}
	os.Exit(m.Run())
}

// beTest is a test that starts a program and does not end it.
func beTest() {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout = os.Stdout
	ended, err := process.Start(cmd, syscall.SIGTERM)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started")
	<-ended
	fmt.Println("ended early")
	os.Exit(1)
}

func TestProgramEndsWithATestThatIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends it at once")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asTest+"=1")
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); line != "started\n" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	// The pipe is at its end when nobody holds it.
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("it runs on: %q, %v", rest, err)
	}
}
