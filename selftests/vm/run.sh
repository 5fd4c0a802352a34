#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots one kernel in a guest whose root is this machine's own (of another architecture, build/root-ARCH),
# under a writable overlay that is thrown away; loads tlsgate.ko; runs a command; powers off.
#
# Passes (exit 0) only when the guest wrote the token with status 0, the module unloaded, nothing
# leaked, and no warning of the kernel is in its log. A command's own failure is handed on as the
# exit status; 124 is a guest that did not end in time, 125 any other failure, 2 bad usage.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

usage() {
	cat >&2 <<-'USAGE'
	usage: run.sh [OPTION...] -- COMMAND [ARGUMENT...]
	  --kernel NAME|RELEASE|PATH      default 6.12; NAME: in build/kernels, such as 6.1, arm64-16k; PATH: a bzImage, or a folder with boot/ and lib/
	  --smp N  --mem SIZE             default 2 and 2G
	  --timeout SECONDS               default 300
	  --icount                        one CPU whose clock counts instructions
	  --plugin SPEC                   QEMU runs this plugin, the kernel at its linked addresses
	  --no-module                     do not load tlsgate.ko
	  --secure-boot                   by firmware (OVMF) that trusts only the key of its package, by which the kernel is signed
	  --forward HOSTPORT:GUESTPORT    of 127.0.0.1, may be repeated
	  --interactive                   standard input goes to the command
	  --out DIR                       what the command sees, writable, as $OUT (/mnt/out)
	  --log FILE                      the command's output; the kernel's goes to FILE.kernel
	USAGE
	exit 2
}

die() {
	echo "run.sh: $*" >&2
	exit 125
}

tree=$(cd "$(dirname "$0")/../.." && pwd -P)
kernel=6.12 smp=2 mem=2G limit=300 icount=no module=yes interactive=no secure=no out='' log='' plugin=''
forwards=()
while [ $# -gt 0 ]; do
	case $1 in
	--kernel|--smp|--mem|--timeout|--plugin|--forward|--out|--log) [ $# -gt 1 ] || usage ;;
	esac
	case $1 in
	--kernel) kernel=$2; shift ;;
	--smp) smp=$2; shift ;;
	--mem) mem=$2; shift ;;
	--timeout) limit=$2; shift ;;
	--forward) forwards+=("$2"); shift ;;
	--out) out=$2; shift ;;
	--log) log=$2; shift ;;
	--icount) icount=yes ;;
	--plugin) plugin=$2; shift ;;
	--no-module) module=no ;;
	--secure-boot) secure=yes ;;
	--interactive) interactive=yes ;;
	--) shift; break ;;
	*) echo "run.sh: unknown option '$1'" >&2; usage ;;
	esac
	shift
done
[ $# -gt 0 ] || { echo "run.sh: no command after --" >&2; usage; }

# ---- the kernel: image, release, modules ------------------------------------------------------

# The boot protocol keeps the offset of the version text, less 0x200, at 0x20e.
image_release() {
	local offset
	offset=$(od -An -tu2 -j526 -N2 "$1")
	dd if="$1" bs=1 skip=$((offset + 512)) count=128 2>/dev/null | tr '\0' ' ' | cut -d' ' -f1
}

find_kernel() {
	folder=$tree/build/kernels/$kernel
	case $kernel in
	*/*) folder=$kernel ;;
	esac
	if [ -f "$folder" ]; then
		image=$(realpath "$folder")
		folder=$(dirname "$image")
	else
		[ -d "$folder/boot" ] || die "no kernel $kernel: run selftests/deps.sh guest"
		folder=$(realpath "$folder")
		image=$(echo "$folder"/boot/vmlinuz-*)
		[ -f "$image" ] || die "no image, or more than one, in $folder/boot"
	fi
	case $image in
	*-arm64*) arch=arm64 release=${image##*/vmlinuz-} ;;
	*) arch=amd64 release=$(image_release "$image") ;;
	esac
	modules=$folder/lib/modules/$release
	if [ -d "$modules" ]; then
		modules_root=$folder
	else
		modules='' modules_root=''
	fi
}
find_kernel
label=${kernel##*/}

ko=''
if [ $module = yes ]; then
	ko=$tree/build/kmod/$release/tlsgate.ko
	[ -f "$ko" ] || die "no module for $release: run make module KDIR=$folder/headers"
fi

# The guest's root, its first program, and the modules which both and its command's terminal need.
# What is not this machine's is made by selftests/deps.sh and selftests/cross.sh.
root=/ init=$tree/build/vm/init early='virtio_pci virtiofs overlay virtio_net'
if [ "$arch" = amd64 ]; then
	[ -x "$init" ] || make -s -C "$tree" build/vm/init
else
	root=$tree/build/root-$arch init=$tree/build/$arch/vm/init early+=' virtio_console'
	[ -x "$init" ] || "$tree/selftests/cross.sh" "$arch" "build/$arch/vm/init" > /dev/null
	mkdir -p "$root$tree"
fi

# ---- the run's folder --------------------------------------------------------------------------

mkdir -p "$tree/build/vm"
run=$(mktemp -d "$tree/build/vm/run.XXXXXX")
[ -n "$out" ] || out=$run/out
mkdir -p "$out"
out=$(realpath "$out")
rm -f "$out"/{token,problems,dmesg.log,kmemleak.log}
[ -n "$log" ] || log=$run/output.log
kernel_log=$log.kernel
[ "$log" != "$run/output.log" ] || kernel_log=$run/kernel.log
: > "$log"
: > "$kernel_log"

daemons=() guest=''
finish() {
	[ -z "$guest" ] || kill "$guest" 2>/dev/null || true
	[ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2>/dev/null || true
	rm -f "$run"/*.sock "$run"/.*.pid "$run/initramfs" "$run/output"
	rm -rf "$run/root"
	[ "$1" -ne 0 ] || rm -rf "$run"
}
trap 'finish $?' EXIT
trap 'exit 130' INT TERM HUP

# ---- initramfs: init, and the modules which the root file system and the card need -----------

pack() {
	(cd "$1" && find . | cpio -o -H newc --quiet | gzip -1) > "$2"
}

add_modules() {
	local kind path number=10
	[ -n "$modules" ] || return 0
	# shellcheck disable=SC2086	# a list
	modprobe -d "$modules_root" -S "$release" -a --show-depends $early |
	while read -r kind path _; do
		[ "$kind" = insmod ] || continue
		case $path in
		*.xz) xz -dc "$path" ;;
		*.zst) zstd -dc "$path" ;;
		*) cat "$path" ;;
		esac > "$run/root/modules/$number-$(basename "${path%.ko*}").ko"
		number=$((number + 1))
	done
}

mkdir -p "$run"/root/{dev,host,rw,new,modules}
cp "$init" "$run/root/init"
add_modules
echo "$tree/selftests/vm/guest.sh" > "$run/root/script"
pack "$run/root" "$run/initramfs"

# ---- the accelerator: KVM where it really runs a guest, asked once per machine ---------------

probe_kvm() {
	local answer=$tree/build/vm/accel
	if [ ! -s "$answer" ]; then
		echo tcg > "$answer.$$"
		if [ -w /dev/kvm ] && timeout 20 qemu-system-x86_64 -machine q35 -accel kvm -cpu host \
			-m 256M -nodefaults -display none -no-reboot -serial stdio -kernel "$image" \
			-initrd "$run/initramfs" -append "console=ttyS0 quiet panic=-1 -- probe" \
			< /dev/null 2>/dev/null | grep -q 'tlsgate-guest: probe ok'; then
			echo kvm > "$answer.$$"
		fi
		mv "$answer.$$" "$answer"
	fi
	cat "$answer"
}

unmitigated=''
if [ "$arch" = arm64 ]; then
	[ $icount = no ] || die "--icount is for this machine's architecture"
	accel=(-accel 'tcg,thread=multi' -cpu 'max,pauth-impdef=on')
elif [ $icount = yes ]; then
	smp=1
	accel=(-accel 'tcg,thread=single' -icount 'shift=0,sleep=off' -cpu 'max,-erms,-fsrm')
elif [ "$(probe_kvm)" = kvm ]; then
	accel=(-accel kvm -cpu host)
else
	accel=(-accel 'tcg,thread=multi' -cpu max)
	# Retpolines and the like cost an emulated CPU some percent, and it does not speculate.
	unmitigated=' mitigations=off'
fi

# ---- file systems ------------------------------------------------------------------------------

# QEMU's own until 7.2, a program in Rust since. A mount below the root that the latter announces
# would be mounted in the guest, too, where overlayfs refuses it as a place to mount on.
virtiofsd=/usr/lib/qemu/virtiofsd
[ -x $virtiofsd ] || virtiofsd=/usr/libexec/virtiofsd
if $virtiofsd --help 2>&1 | grep -q -e --no-announce-submounts; then
	virtiofsd_is=rust
else
	virtiofsd_is=qemu
fi

# share NAME FOLDER always|never: how long the guest may believe what it read.
share() {
	local name=$1 deadline=$((SECONDS + 30))
	local -a as_root=() how=(-o source="$2" -o cache="${3/never/none}" -o sandbox=chroot)
	rm -f "$run/$name.sock"
	[ "$(id -u)" = 0 ] || as_root=(sudo -n)
	[ $virtiofsd_is = qemu ] ||
		how=(--shared-dir="$2" --cache="$3" --sandbox=chroot --no-announce-submounts)
	# Another architecture's root has this tree, too, where it is here.
	[ "$2" != "$root" ] || [ "$root" = / ] || as_root+=(unshare --mount sh -c
		'mount --bind "$1" "$2$1" && shift 2 && exec "$@"' sh "$tree" "$root")
	"${as_root[@]}" $virtiofsd --socket-path="$run/$name.sock" \
		--socket-group="$(id -gn)" "${how[@]}" > "$run/virtiofsd-$name.log" 2>&1 &
	daemons+=($!)
	until [ -S "$run/$name.sock" ]; do
		kill -0 $! 2>/dev/null && [ $SECONDS -lt $deadline ] ||
			die "virtiofsd does not start (it needs root, or sudo): $(cat "$run/virtiofsd-$name.log")"
		sleep 0.05
	done
	devices+=(-chardev "socket,id=$name,path=$run/$name.sock"
		-device "vhost-user-fs-pci,chardev=$name,tag=$name")
}

# ---- the network card, only where a port is forwarded ------------------------------------------

add_network() {
	local net=user,id=net pair
	[ ${#forwards[@]} -gt 0 ] || return 0
	for pair in "${forwards[@]}"; do
		net+=,hostfwd=tcp:127.0.0.1:${pair%:*}-10.0.2.15:${pair#*:}
	done
	devices+=(-netdev "$net" -device virtio-net-pci,netdev=net)
}

# ---- run ---------------------------------------------------------------------------------------

nonce=$(od -An -tx8 -N8 /dev/urandom | tr -d ' ')
forward=$([ ${#forwards[@]} -gt 0 ] && echo yes || echo no)
cwd=$PWD module=$ko command=("$@")
declare -p nonce cwd modules module forward command > "$out/guest.conf"

input=/dev/null foreground=()
[ $interactive = no ] || input=/dev/stdin foreground=(--foreground)
started=$SECONDS
status=0

case $arch in
amd64)
	qemu=(qemu-system-x86_64 -machine q35,memory-backend=mem) console='console=ttyS0'
	terminal=(-serial chardev:command)
	;;
arm64)
	qemu=(qemu-system-aarch64 -machine virt,gic-version=3,memory-backend=mem)
	console='console=ttyAMA0 COMMAND_TTY=/dev/hvc0'
	terminal=(-device virtio-serial-pci -device virtconsole,chardev=command)
	;;
esac

# The last line keeps a guest on an overloaded machine from taking starvation for broken timers.
cmdline="$console loglevel=6 panic=-1 oops=panic log_buf_len=8M net.ifnames=0
no_timer_check tsc=nowatchdog rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60${plugin:+ nokaslr}$unmitigated"

# The firmware has its variables in a file of its own, and looks at the kernel, which Debian's key has signed.
secure_boot() {
	local key=/usr/share/ovmf/PkKek-1-snakeoil firmware=/usr/share/OVMF
	[ "$arch" = amd64 ] && command -v sbsign > /dev/null && [ -e $firmware/OVMF_VARS_4M.snakeoil.fd ] ||
		die "--secure-boot is for amd64, and needs sbsigntool and ovmf: run selftests/deps.sh secure-boot"
	openssl pkey -in $key.key -passin pass:snakeoil -out "$run/key.pem"
	sbsign --key "$run/key.pem" --cert $key.pem --output "$run/vmlinuz" "$image" > "$run/sbsign.log" 2>&1 ||
		die "sbsign: $(tail -n 1 "$run/sbsign.log")"
	cp $firmware/OVMF_VARS_4M.snakeoil.fd "$run/vars"
	image=$run/vmlinuz
	qemu=(qemu-system-x86_64 -machine q35,smm=on,memory-backend=mem
		-global driver=cfi.pflash01,property=secure,value=on
		-drive if=pflash,format=raw,unit=0,readonly=on,file=$firmware/OVMF_CODE_4M.secboot.fd
		-drive if=pflash,format=raw,unit=1,file="$run/vars")
}
[ $secure = no ] || secure_boot

# Both in the background and waited for, so that a signal to this script ends the guest too.
boot() {
	local printer
	status=0
	tee "$log" < "$run/output" | sed -u "s,^,[$label] ," &
	printer=$!
	timeout "${foreground[@]}" -k 5 "$limit" "${qemu[@]}" "${accel[@]}" -smp "$smp" -m "$mem" \
		-object memory-backend-memfd,id=mem,size="$mem",share=on \
		-nodefaults -display none -no-reboot "${devices[@]}" \
		-serial file:"$kernel_log" -chardev stdio,id=command "${terminal[@]}" \
		-kernel "$image" -initrd "$run/initramfs" -append "${cmdline//$'\n'/ }" \
		< $input > "$run/output" 2> "$run/qemu.log" &
	guest=$!
	wait $guest || status=$?
	guest=''
	wait $printer
}

start_guest() {
	devices=() daemons=()
	share hostroot "$root" always
	share hostout "$out" never
	add_network
	[ -z "$plugin" ] || devices+=(-plugin "$plugin")
	boot
}

# Deaths that are the emulator's: before init, where our code never ran; and a breakpoint of the
# kernel's own patching (static keys), which one emulated CPU meets after another has removed it.
# We set no breakpoints, and a processor does not do that (arch/x86/kernel/alternative.c syncs all).
emulators_death() {
	[ $status -eq 0 ] || return 1
	if ! grep -q 'tlsgate-guest: init' "$kernel_log"; then
		echo "before its init"
	elif [ "${accel[1]%%,*}" = tcg ] && grep -q 'int3: 0000 \[#1\]' "$kernel_log" &&
		! grep -q 'RIP: 0010:.*\[tlsgate\]' "$kernel_log"; then
		echo "at a breakpoint of the kernel's own, as emulated CPUs do"
	else
		return 1
	fi
}

# Once more, and not in silence.
mkfifo "$run/output"
start_guest
if how=$(emulators_death); then
	echo "[$label] the guest died $how; booting it once more. Its last words:" >&2
	tail -n 40 "$kernel_log" | sed "s,^,[$label] | ," >&2
	start_guest
fi

# ---- the verdict -------------------------------------------------------------------------------

# Where the guest got as far as writing its whole log, that one is complete; else the console's.
[ ! -s "$out/dmesg.log" ] || [ ! -s "$out/token" ] || cp "$out/dmesg.log" "$kernel_log"

# Lines of a kernel that is not well. Those before the mark belong to the boot.
bad='WARNING:|BUG:|kernel BUG|Oops|[Gg]eneral protection fault|KASAN|UBSAN|KCSAN|Kernel panic'
bad+='|Call Trace:|possible (circular|recursive|irq)|possible deadlock|inconsistent lock state'
bad+='|suspicious RCU|scheduling while atomic|sleeping function called|refcount_t:|ODEBUG'
bad+='|(rcu|RCU).*stall|soft lockup|hard LOCKUP|blocked for more than|list_(add|del) corruption'
bad+='|bad page|Bad page|lock held when returning|bad unlock balance|unreferenced object|leaked'
# A cgroup's end of memory is what a test asked for; the machine's is not.
without_cgroup_oom() {
	awk '/invoked oom-killer/ { held = 1; text = "" }
		!held { print; next }
		{ text = text $0 "\n" }
		/Memory cgroup out of memory: Killed/ { held = 0; text = "" }
		END { printf "%s", text }'
}

complaints() {
	if grep -q 'tlsgate-guest: begin' "$kernel_log"; then
		# A page fault retried: what fault injection does to a test's own memory.
		sed '1,/tlsgate-guest: begin/d; /VM_FAULT_OOM leaked out/d' "$kernel_log" |
			without_cgroup_oom | grep -E "$bad"
	else
		grep -E 'Kernel panic|guest init:' "$kernel_log"
	fi
}

verdict=125 reason=''
if [ "$status" = 124 ] || [ "$status" = 137 ]; then
	verdict=124 reason="hung: killed after $limit s"
elif [ "$status" -ne 0 ]; then
	reason="qemu ended with $status: $(tail -1 "$run/qemu.log")"
elif [ ! -s "$out/token" ]; then
	reason="the guest ended without its token"
else
	read -r token verdict < "$out/token"
	[ "$token" = "$nonce" ] || { verdict=125 reason="the guest's token is not this run's"; }
	[ "$verdict" = 0 ] || reason=${reason:-"the command ended with $verdict"}
fi
if [ -s "$out/problems" ]; then
	reason+="${reason:+; }$(paste -sd';' "$out/problems")"
	verdict=125
fi
if found=$(complaints); then
	reason+="${reason:+; }the kernel complained: $(head -1 <<< "$found")"
	verdict=125
fi
if [ "$verdict" -ne 0 ]; then
	echo "[$label] FAILED in $((SECONDS - started)) s: $reason" | tee -a "$log" >&2
fi
# From the first complaint on, where there is one: what comes after is mostly its consequence.
last_words() {
	local first
	first=$(complaints | head -1) || true
	if [ -n "$first" ]; then
		grep -F -A 39 -m 1 -e "$first" "$kernel_log"
	else
		tail -n 25 "$kernel_log"
	fi
}
if [ "$verdict" = 124 ] || [ "$verdict" = 125 ]; then
	echo "[$label] the kernel's words ($kernel_log):" >&2
	last_words | sed "s,^,[$label] | ," >&2
fi
exit "$verdict"
