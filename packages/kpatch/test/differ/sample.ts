/**
 * One compilation unit that uses every table and every kind of section that the headers of the corpus know, on every
 * architecture; for property tests.
 */

/** `variant` changes what a function does; `shift` moves all lines. */
export function sampleSource(variant = 0, shift = 0): string {
  return `${'\n'.repeat(shift)}
#ifdef LOCKED
#define PLACES(x) LOCKED(x)
#elif defined(PLACE)
#define PLACES(x) PLACE("__lwsync_fixup")
#else
#define PLACES(x) use2(&x, 0)
#endif
static const int table[] = { 1, 2, 3, 5, 8 };
static const char *const names[] = { "one", "two", "three" };
static int counter __read_mostly = 3;
static int limit __read_mostly = 4;
int exported_value = 7;
static struct static_key key = { 1, 0 };
static int zeroed[64];
struct ops { int (*open)(int); void (*close)(int); };
static noinline int helper(int a) { static int count; return use(a + count++); }
static noinline int other(int a) { static int count; count += a; return count ^ ${variant === 1 ? 5 : 4}; }
static int op_open(int a) { WARN_ON(a == ${variant === 2 ? 4 : 3}); return helper(a) + counter; }
static void op_close(int a) { might_sleep(); PLACES(zeroed[a & 63]); limit = a; }
const struct ops operations = { op_open, op_close };
int entry(int a) {
  pr_debug("value %d\\n", a);
  if (static_branch(&key)) return other(a);
  WARN_ONCE(a > 9, "too much at %s (%d)\\n", __FILE__, __LINE__);
  ALTERNATIVE(OLD, NEW1, 18);
  return table[a] + PROBE(&exported_value) + use2(names[a & 1], ${variant === 3 ? 11 : 10});
}
static noinline __attribute__((cold)) int unlikely_path(int a) { return use(a) + 1; }
int with_cold(int a) {
  if (__builtin_expect(a == 5, 0)) { use(a); use(a + 1); unlikely_path(a); return 0; }
  return a * ${variant === 4 ? 4 : 3};
}
int twice(int a) { if (a & 1) { static int n; return use(n++) + 1; } static int n; return use(n--) + 2; }
int __init start(int a) { return use(a) + entry(1); }
void __exit stop(void) { use(0); }
`;
}
