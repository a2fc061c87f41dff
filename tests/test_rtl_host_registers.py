"""rtl/host/registers.py: the map, access by access; what is illegal changes nothing."""

import dataclasses
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from model.contract import registers as contract
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.geometry import BankForm, Geometry, geometry
from model.contract.presets import preset
from model.contract.registers import Access, learning_layers
from model.contract.storage import Bank, host_banks
from rtl.host.registers import Registers

STEP, BASE = (
    0x0001_0000_0001,
    0x4321_0000_0000,
)  # a counter of the stand-in reads as BASE + n * STEP
SEED_BITS = preset("tiny").learning.lfsr_bits

TINY = preset("tiny")
# Words of 32 and of 2 bits: one access each.
NARROW = dataclasses.replace(TINY, conv=(dataclasses.replace(TINY.conv[0], places=1),))
WIDE = dataclasses.replace(NARROW, lanes=16)  # words of 48, 128, 2 and 80 bits
CONFIGS = {
    "narrow": NARROW,
    "wide": WIDE,
    "inference": NARROW.with_rule("none"),
    "projection": WIDE.with_rule("dfa"),
    "uncounted": dataclasses.replace(NARROW, counters=False),
}
EACH = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


class StandIn(wiring.Component):
    """Registers; memories stand for banks, flip-flops for LFSRs, counters tell their place."""

    def __init__(self, config: ChipConfig) -> None:
        super().__init__({})
        self.config = config
        self.cleared = Signal(8)  # times that the counters were
        self.dropped = Signal(8)  # times that a sample was
        self.registers = Registers(config)
        self.memories = [
            Memory(shape=bank.word_bits, depth=bank.words, init=[]) for bank in host_banks(config)
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = self.registers
        for number, memory in enumerate(self.memories):
            m.submodules[f"memory_{number}"] = memory
            port = getattr(registers, f"bank_{number}")
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(port.address),
                write.addr.eq(port.address),
                write.data.eq(port.write_data),
                port.read_data.eq(read.data),
                read.en.eq(port.enable & ~port.write),
                write.en.eq(port.enable & port.write),
            ]
        m.d.sync += self.dropped.eq(self.dropped + registers.drop)
        for port in self.seeds:
            with m.If(port.write):
                m.d.sync += port.state.eq(port.data)
        if self.config.counters:
            m.d.sync += [
                registers.counter_value.eq(BASE + registers.counter_index * STEP),
                self.cleared.eq(self.cleared + registers.clear),
            ]
        return m

    @property
    def seeds(self) -> list[Any]:
        """The seed ports."""
        layers = learning_layers(self.config)
        return [getattr(self.registers, f"seed_{number}") for number in range(len(layers))]

    def state(self, ctx: Any) -> tuple[list[list[int]], list[int]]:
        """The words of all banks, and the states of all LFSRs."""
        words = [[int(ctx.get(row)) for row in memory.data] for memory in self.memories]
        return words, [ctx.get(port.state) for port in self.seeds]


class Host:
    """The master of a stand-in's bus."""

    def __init__(self, ctx: Any, dut: StandIn) -> None:
        self.ctx = ctx
        self.bus = dut.registers.host

    async def access(self, address: int, write: bool = False, data: int = 0) -> tuple[int, bool]:
        """The data and the error of an access's response."""
        self.ctx.set(self.bus.request.p, {"address": address, "write": write, "data": data})
        self.ctx.set(self.bus.request.valid, 1)
        await self.ctx.tick().until(self.bus.request.ready)
        self.ctx.set(self.bus.request.valid, 0)
        self.ctx.set(self.bus.response.ready, 1)
        (response,) = (
            await self.ctx.tick().sample(self.bus.response.p).until(self.bus.response.valid)
        )
        self.ctx.set(self.bus.response.ready, 0)
        return response.data, bool(response.error)

    async def read(self, address: int) -> int:
        data, error = await self.access(address)
        assert not error
        return data

    async def write(self, address: int, data: int) -> None:
        assert await self.access(address, True, data) == (0, False)

    async def refused(self, address: int, write: bool = False, data: int = 0) -> None:
        assert await self.access(address, write, data) == (0, True)

    async def open(self, bank: int, address: int) -> None:
        await self.write(contract.BANK, bank)
        await self.write(contract.ADDRESS, address)


Bench: TypeAlias = Callable[[Any, StandIn, Host], Coroutine[Any, Any, None]]


def run(config: ChipConfig, bench: Bench) -> None:
    """Run a bench on a stand-in to its end."""
    dut = StandIn(config)
    ran = []

    async def testbench(ctx: Any) -> None:
        await bench(ctx, dut, Host(ctx, dut))
        ran.append(True)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert ran


class Twin:
    """The map as plain Python: what the contract says, and what `Registers` adds to it."""

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        self.table = {register.offset: register for register in contract.registers(config)}
        self.banks = host_banks(config)
        self.words = [[0] * bank.words for bank in self.banks]
        self.seeds = [0] * len(learning_layers(config))
        self.bank = self.address = self.chunk = self.staged = 0
        self.interrupt = self.freeze = 0
        self.writing = False

    def access(self, offset: int, write: bool, data: int, busy: bool) -> tuple[int, bool]:
        register = self.table.get(offset)
        if register is None or register.access == (Access.READ if write else Access.WRITE):
            return 0, True
        anytime = ("CONTROL", "INTERRUPT")
        if busy and register.access is not Access.READ and register.name not in anytime:
            return 0, True
        if register.name == "DATA":
            return self._data(write, data)
        if register.name.startswith("SEED_"):
            return self._seed((offset - contract.SEEDS) // 4, write, data)
        if write:
            if register.name in ("BANK", "ADDRESS"):
                self.chunk = 0
                setattr(self, register.name.lower(), data)
            if register.name in ("INTERRUPT", "FREEZE"):
                setattr(self, register.name.lower(), data % (4 if register.name[0] == "I" else 2))
            return 0, False
        return self._read(register.name, busy), False

    def _read(self, name: str, busy: bool) -> int:
        counted = {
            counter.name.replace(".", "_").upper(): place
            for place, counter in enumerate(counters(self.config))
        }
        stem, _, half = name.rpartition("_")
        if stem in counted:
            return BASE + counted[stem] * STEP >> (32 if half == "HIGH" else 0) & 0xFFFF_FFFF
        config, chosen = self.config, [*self.banks, None][min(self.bank, len(self.banks))]
        learning = learning_layers(config)
        return {
            "ID": 0x44525450,
            "CONFIG": int(config.sha256[:8], 16),
            "STATUS": int(busy),
            "BANK": self.bank,
            "ADDRESS": self.address,
            "VERSION": 2 << 16 | 2,
            "INTERRUPT": self.interrupt,
            "FREEZE": self.freeze,
            "INPUT": config.channels << 24 | config.height << 12 | config.width,
            "OUTPUT": config.time_top << 24 | config.rate_steps << 16 | config.readout.classes,
            "LIMIT": 0,
            "PARTS": len(self.banks) | len(learning) << 8 | len(counted) * config.counters << 16,
            "BANK_WORDS": chosen.words if chosen else 0,
            "BANK_FORM": self._form(chosen) if chosen else 0,
        }[name]

    def _form(self, bank: Bank) -> int:
        kind = {"kernels": 0, "weights": 1, "modulation": 2}[bank.kind]
        stage = ["encode", "conv1", "hidden1", "readout"].index(bank.stage)
        return bank.lanes | bank.code.bits << 8 | kind << 16 | stage << 24

    def _data(self, write: bool, data: int) -> tuple[int, bool]:
        if self.bank >= len(self.banks) or self.address >= self.banks[self.bank].words:
            return 0, True
        if self.chunk and write != self.writing:
            return 0, True
        bank, words = self.banks[self.bank], self.words[self.bank]
        place, last = 32 * self.chunk, self.chunk == self.banks[self.bank].chunks - 1
        read = 0 if write else words[self.address] >> place & 0xFFFF_FFFF
        self.staged = (self.staged if self.chunk else 0) | data << place
        if last and write:
            words[self.address] = self.staged & (1 << bank.word_bits) - 1
        self.chunk = 0 if last else self.chunk + 1
        self.writing = write
        self.address += last
        return read, False

    def _seed(self, number: int, write: bool, data: int) -> tuple[int, bool]:
        if not write:
            return self.seeds[number], False
        if data % (1 << SEED_BITS) == 0:
            return 0, True
        self.seeds[number] = data % (1 << SEED_BITS)
        return 0, False


def draw(rng: random.Random, twin: Twin) -> tuple[int, bool, int]:
    """A random access, most of them around the window."""
    write = rng.random() < 0.5
    match rng.choices(("data", "bank", "address", "known", "any"), (60, 4, 8, 20, 8))[0]:
        case "data":
            return contract.DATA, twin.writing ^ (rng.random() < 0.1), rng.getrandbits(32)
        case "bank":
            return contract.BANK, True, rng.randrange(len(twin.banks))
        case "address":
            words = twin.banks[twin.bank].words
            return (
                contract.ADDRESS,
                True,
                rng.choice([0, 1, words // 2, words - 2, words - 1, words]),
            )
        case "known":
            data = rng.choice([0, 1 << SEED_BITS, rng.getrandbits(32)])
            window = (contract.BANK, contract.ADDRESS, contract.DATA)
            return rng.choice([at for at in twin.table if at not in window]), write, data
        case _:
            return rng.getrandbits(contract.ADDRESS_BITS), False, 0


@EACH
def test_random_accesses_agree_with_the_map_in_plain_python(config: ChipConfig) -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        rng, twin = random.Random(config.sha256), Twin(config)
        refused = 0
        for count in range(1200):
            busy = rng.random() < 0.1
            ctx.set(dut.registers.busy, busy)
            offset, write, data = draw(rng, twin)
            expected = twin.access(offset, write, data, busy)
            assert await host.access(offset, write, data) == expected, (count, hex(offset), write)
            refused += expected[1]
        assert dut.state(ctx) == (twin.words, twin.seeds)
        assert 100 < refused < 900
        assert all(map(any, twin.words))

    run(config, bench)


def test_a_word_crosses_the_window_lowest_bits_first_and_address_steps() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.open(1, 5)
        for word in (0x1111_2222, 0x3333_4444, 0x5555_6666, 0x7777_8888, 0x9999_AAAA):
            await host.write(contract.DATA, word)
        assert await host.read(contract.ADDRESS) == 6
        assert ctx.get(dut.memories[1].data[5]) == 0x7777_8888_5555_6666_3333_4444_1111_2222
        await host.open(1, 5)
        assert [await host.read(contract.DATA) for _ in range(5)] == [
            *(0x1111_2222, 0x3333_4444, 0x5555_6666, 0x7777_8888),
            0,
        ]
        assert await host.read(contract.ADDRESS) == 6

    run(WIDE, bench)


def test_bits_above_a_word_are_ignored_and_read_as_zero() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.open(0, 0)
        await host.write(contract.DATA, 0x0123_4567)
        await host.write(contract.DATA, 0xFFFF_89AB)
        await host.open(0, 0)
        assert await host.read(contract.DATA) == 0x0123_4567
        assert await host.read(contract.DATA) == 0x89AB

    assert host_banks(WIDE)[0].word_bits == 48
    run(WIDE, bench)


def test_a_word_that_is_not_finished_is_not_written() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        for offset, value in ((contract.BANK, 1), (contract.ADDRESS, 0)):
            await host.open(1, 0)
            for _ in range(3):
                await host.write(contract.DATA, 0xFFFF_FFFF)
            await host.write(offset, value)
            for _ in range(3):
                await host.write(contract.DATA, 0)
            assert not ctx.get(dut.memories[1].data[0])
            assert await host.read(contract.ADDRESS) == 0

    run(WIDE, bench)


@pytest.mark.parametrize("write", [False, True], ids=["read", "written"])
def test_changing_over_within_a_word_is_refused_and_the_word_goes_on(write: bool) -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.open(1, 0)
        for part in (1, 2, 3, 4):
            assert await host.access(contract.DATA, write, part) == (0, False)
            if part < 4:
                await host.refused(contract.DATA, not write, 0xFFFF_FFFF)
        written = 0x4_0000_0003_0000_0002_0000_0001
        assert ctx.get(dut.memories[1].data[0]) == (written if write else 0)
        assert await host.read(contract.ADDRESS) == 1

    run(WIDE, bench)


@pytest.mark.parametrize("number", range(4))
def test_data_outside_a_bank_is_refused(number: int) -> None:
    words = host_banks(NARROW)[number].words

    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        before = dut.state(ctx)
        for address in (words, words + 1, 0xFFFF_FFFF, 1 << 31, (1 << 16) + 1):
            await host.open(number, address)
            await host.refused(contract.DATA)
            await host.refused(contract.DATA, True, 1)
        await host.open(number, words - 1)
        await host.write(contract.DATA, 0)
        await host.refused(contract.DATA, True, 1)
        assert await host.read(contract.ADDRESS) == words
        assert dut.state(ctx) == before

    run(NARROW, bench)


def test_data_of_an_unknown_bank_is_refused() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        before = dut.state(ctx)
        for bank in (4, 7, 8, 16, 1 << 31, 0xFFFF_FFFC):
            await host.open(bank, 0)
            await host.refused(contract.DATA)
            await host.refused(contract.DATA, True, 1)
        assert dut.state(ctx) == before

    assert len(host_banks(NARROW)) == 4
    run(NARROW, bench)


@EACH
def test_while_busy_only_what_is_read_only_is_accessed(config: ChipConfig) -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.open(0, 1)
        before = dut.state(ctx)
        ctx.set(dut.registers.busy, 1)
        for register in contract.registers(config):
            anytime = register.name in ("CONTROL", "INTERRUPT")
            reading = register.access is Access.READ or register.name == "INTERRUPT"
            assert (await host.access(register.offset))[1] is not reading
            written = (await host.access(register.offset, True, 0xFFFF_FFFF))[1]
            assert written is not anytime
        assert await host.read(contract.STATUS) == 1 << contract.STATUS_BUSY
        ctx.set(dut.registers.busy, 0)
        assert await host.read(contract.BANK) == 0
        assert await host.read(contract.ADDRESS) == 1
        assert await host.read(contract.STATUS) == 0
        assert dut.state(ctx) == before

    run(config, bench)


@EACH
def test_every_address_without_a_register_is_refused(config: ChipConfig) -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.open(0, 0)
        known = {register.offset for register in contract.registers(config)}
        for offset in {*range(0, 0x120), *range(0x200, 0x1000, 7)} - known:
            await host.refused(offset)
            await host.refused(offset, True, 1)
        assert await host.read(contract.ADDRESS) == 0
        assert not any(map(any, dut.state(ctx)[0]))

    run(config, bench)


def test_flags_are_set_by_pulses_and_held_until_the_host_clears_them() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        flags = {
            contract.STATUS_DROPPED: dut.registers.dropped,
            contract.STATUS_REFUSED: dut.registers.refused,
            contract.STATUS_VERDICT: dut.registers.verdict,
        }
        for place, pulse in flags.items():
            ctx.set(pulse, 1)
            await ctx.tick()
            ctx.set(pulse, 0)
            await ctx.tick().repeat(5)
            assert await host.read(contract.STATUS) == 1 << place
            clear = contract.CONTROL_CLEAR_FLAGS
            if place == contract.STATUS_VERDICT:
                clear = contract.CONTROL_CLEAR_VERDICT
            await host.write(contract.CONTROL, 0xFFFF_FFFF & ~(1 << clear))
            assert await host.read(contract.STATUS) == 1 << place
            ctx.set(dut.registers.busy, 1)
            await host.write(contract.CONTROL, 1 << clear)
            assert await host.read(contract.STATUS) == 1
            ctx.set(dut.registers.busy, 0)
            assert await host.read(contract.STATUS) == 0
        # A pulse in the cycle of the clearing is not lost.
        ctx.set(dut.registers.dropped, 1)
        await host.write(contract.CONTROL, 1 << contract.CONTROL_CLEAR_FLAGS)
        ctx.set(dut.registers.dropped, 0)
        assert await host.read(contract.STATUS) == 1 << contract.STATUS_DROPPED

    run(NARROW, bench)


def test_the_interrupt_follows_the_flags_that_the_mask_chooses() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        registers = dut.registers
        for mask in range(4):
            for name in ("dropped", "refused", "verdict"):
                await host.write(contract.CONTROL, 0b110)
                await host.write(contract.INTERRUPT, mask)
                assert not ctx.get(registers.irq)
                ctx.set(getattr(registers, name), 1)
                await ctx.tick()
                ctx.set(getattr(registers, name), 0)
                await ctx.tick()
                wanted = mask & (1 if name == "verdict" else 2)
                assert bool(ctx.get(registers.irq)) is bool(wanted), (mask, name)
                await host.write(contract.INTERRUPT, 0)
                assert not ctx.get(registers.irq)

    run(NARROW, bench)


def test_drop_is_one_pulse_and_freeze_is_held() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        registers = dut.registers
        await host.write(contract.CONTROL, 0b0111)
        assert ctx.get(dut.dropped) == 0
        ctx.set(registers.busy, 1)
        await host.write(contract.CONTROL, 0b1000)
        assert ctx.get(dut.dropped) == 1
        await host.refused(contract.FREEZE, True, 1)
        ctx.set(registers.busy, 0)
        assert not ctx.get(registers.freeze)
        for level in (1, 0, 3):
            await host.write(contract.FREEZE, level)
            assert ctx.get(registers.freeze) == await host.read(contract.FREEZE) == level & 1

    run(NARROW, bench)


@EACH
def test_a_host_learns_the_geometry_from_the_registers(config: ChipConfig) -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        sizes: dict[str, int] = {}
        for offset in (contract.INPUT, contract.OUTPUT, contract.LIMIT, contract.PARTS):
            sizes |= contract.split(offset, await host.read(offset))
        banks = []
        for number in range(sizes.pop("banks")):
            await host.write(contract.BANK, number)
            form = contract.split(contract.BANK_FORM, await host.read(contract.BANK_FORM))
            banks.append(BankForm(await host.read(contract.BANK_WORDS), **form))
        assert Geometry(**sizes, banks=tuple(banks)) == geometry(config)
        await host.write(contract.BANK, len(banks))
        assert await host.read(contract.BANK_WORDS) == await host.read(contract.BANK_FORM) == 0

    run(config, bench)


def test_a_seed_is_written_read_and_never_zero() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        first, second = contract.SEEDS, contract.SEEDS + 4
        await host.write(first, 0xACE1)
        await host.write(second, 0xFFFF_0001)
        assert await host.read(first) == 0xACE1
        assert await host.read(second) == 1
        for zero in (0, 1 << SEED_BITS, 0xFFFF_0000):
            await host.refused(first, True, zero)
        assert dut.state(ctx)[1] == [0xACE1, 1]

    run(NARROW, bench)


def test_control_clears_the_counters_with_one_pulse() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        await host.write(contract.CONTROL, 1 << contract.CONTROL_CLEAR_FLAGS)
        await host.write(contract.CONTROL, 0)
        await host.refused(contract.CONTROL)
        await host.refused(contract.ID, True, 1 << contract.CONTROL_CLEAR_COUNTERS)
        assert ctx.get(dut.cleared) == 0
        await host.write(contract.CONTROL, 1 << contract.CONTROL_CLEAR_COUNTERS)
        assert ctx.get(dut.cleared) == 1

    run(NARROW, bench)


def test_a_response_comes_two_cycles_after_its_request_and_waits_to_be_taken() -> None:
    async def bench(ctx: Any, dut: StandIn, host: Host) -> None:
        bus, seen = host.bus, []
        ctx.set(bus.request.p, {"address": contract.ID, "write": 0, "data": 0})
        ctx.set(bus.request.valid, 1)
        for _ in range(6):
            sampled = await ctx.tick().sample(bus.request.ready, bus.response.valid)
            seen.append(sampled[-2:])
            if ctx.get(bus.request.ready):
                await ctx.tick()
                seen.append((1, 0))
                ctx.set(bus.request.valid, 0)
        assert seen == [(0, 0), (1, 0), *[(0, 1)] * 5]
        assert ctx.get(bus.response.p.data) == contract.IDENTITY
        ctx.set(bus.response.ready, 1)
        await ctx.tick()
        assert not ctx.get(bus.response.valid)

    run(NARROW, bench)


def test_counters_and_seeds_have_members_only_where_the_chip_has_them() -> None:
    members = {}
    for name, config in CONFIGS.items():
        registers = Registers(config)
        Simulator(registers)  # what is never elaborated raises a warning
        members[name] = set(registers.signature.members)
    counted, seeded = {"clear", "counter_index", "counter_value"}, {"seed_0", "seed_1"}
    assert counted <= members["narrow"]
    assert not counted & members["uncounted"]
    assert seeded <= members["narrow"]
    assert not seeded & members["inference"]
