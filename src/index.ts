// The public API, and the only place where the parts are wired together.

export type { ClauseInfo, Decoded, Isa } from '../isa/index.ts';
export { GOARCHES, type Goarch, isaFor } from '../isa/index.ts';
export { type Arch, archOf } from './arch/arch.ts';
export { commandLine, type SharedOptions, sweepCommandLine } from './debug/command-line.ts';
export { Debugger, type GoroutineLine, type Moved } from './debug/debugger.ts';
export type { Go } from './debug/go.ts';
export {
  type GoroutineReport,
  type GoroutinesOptions,
  type GoroutinesReport,
  reportGoroutines,
} from './debug/goroutine-report.ts';
export type { DeliveryDifference, GuestCounts } from './debug/guest-handler.ts';
export { GuestCallError } from './debug/guest-runtime.ts';
export type { Interrupt, InterruptCounts } from './debug/host-handler.ts';
export { InputError } from './debug/input-error.ts';
export { Inspector, type Root, type ScannedStackFrame, type Target } from './debug/inspection.ts';
export { sweep, type VerifyProgramOptions, verifyProgram } from './debug/jobs.ts';
export { boundariesOf, instructionsOf, type Listed } from './debug/listing.ts';
export { openProgramFile, readProgramFile } from './debug/program-file.ts';
export { parseSchedule, SCHEDULE_HELP, type Schedule, ScheduleError } from './debug/schedule.ts';
export { Session, type SessionEnd, type SessionOptions, type SessionSnapshot, type Stats } from './debug/session.ts';
export { type PreemptM, Suspender, type SuspendRequest } from './debug/suspension.ts';
export type { OracleName, SweepFailure, SweepOptions, SweepProgress, SweepResult } from './debug/sweep.ts';
export {
  agrees,
  type Comparison,
  type Difference,
  type Disagreement,
  sideText,
  type VerifyOptions,
  type VerifyProgress,
  type VerifyReport,
  verify,
} from './debug/verify.ts';
export { asyncPreemptFrame, decodeAsyncPreemptFrame } from './goruntime/async-preempt-frame.ts';
export { functionsNamed, type Location, LocationError } from './goruntime/locate.ts';
export { TableError } from './goruntime/pcvalue.ts';
export { Preemption } from './goruntime/preempt.ts';
export { RULES, type Rule, type Rules } from './goruntime/preempt-rules.ts';
export { GoProgram, NotGoError } from './goruntime/program.ts';
export { CHECKS, type CheckId, type CheckResult, SafePoints, type Verdict } from './goruntime/safe-points.ts';
export { SuspendError } from './goruntime/suspend.ts';
export { type Func, GoTables, type InlineFrame } from './goruntime/tables.ts';
export { GuestReadError } from './goruntime/view.ts';
export {
  CodeDamaged,
  type CodeImage,
  type CodeModule,
  type CodeStore,
  type HostImage,
  type MachineCode,
  type NativeCode,
} from './jit/image.ts';
export { ROWS as SYSTEM_CALLS } from './linux/calls/index.ts';
export { type Elf, ElfError, readElf } from './object/elf.ts';
export type { ProgramFile } from './object/file.ts';
export { print as printOps } from './uop/print.ts';
export { record } from './uop/record.ts';
