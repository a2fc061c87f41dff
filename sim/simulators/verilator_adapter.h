// Verilator's side of the harness: how a pin is read and written, and how half a cycle is run.

#include <type_traits>

#include "Vchip.h"
#include "verilated.h"
#ifdef WAVES
#include "verilated_vcd_c.h"
#endif

namespace {

template <class Pin, std::enable_if_t<std::is_integral_v<Pin>, int> = 0>
uint32_t word_of(const Pin& pin, uint32_t index) {
    return uint32_t(uint64_t(pin) >> (32 * index));
}

template <std::size_t words>
uint32_t word_of(const VlWide<words>& pin, uint32_t index) {
    return pin[index];
}

template <class Pin>
uint32_t low_word(const Pin& pin) {
    return word_of(pin, 0);
}

class Simulation {
    struct Context : VerilatedContext {
        explicit Context(uint64_t seed) {
            randReset(2);  // whatever the Verilog leaves without a value starts at random
            randSeed(int(seed % 0x7FFFFFFF) + 1);
#ifdef WAVES
            traceEverOn(true);
#endif
        }
    } context;

  public:
    CHIP pins;
    bool recording = false;

    Simulation(uint64_t seed, [[maybe_unused]] const char* waves)
        : context(seed), pins(&context) {
#ifdef WAVES
        pins.trace(&recorder, 99);
        recorder.open(waves);
#endif
    }

    template <class Pin>
    void put(Pin& pin, uint32_t value) {
        changed |= pin != value;
        pin = value;
    }

#ifdef EDGES
    // Every edge of the clock is a cycle. What it leads to is settled behind it, but for what
    // inputs do that change later.
    void low() {
        if (changed) run();
        changed = false;
    }

    void high() {
        pins.clk = !pins.clk;
        run();
    }
#else
    void low() {
        pins.clk = 0;
        run();
    }

    void high() {
        pins.clk = 1;
        run();
    }
#endif

  private:
    bool changed = true;
#ifdef WAVES
    VerilatedVcdC recorder;
#endif

    void run() {
        pins.eval();
#ifdef WAVES
        if (recording) recorder.dump(context.time());
        context.timeInc(5);
#endif
    }
};

}  // namespace
