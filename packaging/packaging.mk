# SPDX-License-Identifier: MIT
# make install, uninstall and dist. The folders are those of the GNU coding standards: PREFIX, DESTDIR
# and each of them can be given. Packages set PREFIX=/usr.

VERSION := $(shell sed -n 's/.*TLSGATE_VERSION[[:space:]]*"\(.*\)".*/\1/p' kmod/uapi/tlsgate_version.h)
RELEASE := tlsgate-$(VERSION)

PREFIX ?= /usr/local
sysconfdir ?= /etc
sbindir ?= $(PREFIX)/sbin
libdir ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
datadir ?= $(PREFIX)/share
mandir ?= $(datadir)/man
docdir ?= $(datadir)/doc/tlsgate
unitdir ?= $(PREFIX)/lib/systemd/system
sysusersdir ?= $(PREFIX)/lib/sysusers.d
tmpfilesdir ?= $(PREFIX)/lib/tmpfiles.d
dkmsdir ?= $(PREFIX)/src/$(RELEASE)

# ---- what is installed: SOURCE:FOLDER:MODE ----------------------------------------------------------

PKG_GEN := $(BUILD)/packaging
PKG_MANUALS := $(wildcard packaging/*.[1-8])
PKG_HEADERS := userspace/lib/libtlsgate.h $(wildcard kmod/uapi/*.h)
PKG_MODULE := $(shell find kmod -type f)
# As in the tree, so that links from one to another hold.
PKG_DOCS := $(wildcard README.md SECURITY.md CHANGELOG.md CONTRIBUTING.md docs/*.md)

PKG_FILES = \
	$(BUILD)/tlsgated:$(sbindir):755 \
	$(BUILD)/tlsgate:$(sbindir):755 \
	$(PKG_GEN)/tlsgated.service:$(unitdir):644 \
	packaging/sysusers.d/tlsgate.conf:$(sysusersdir):644 \
	packaging/tmpfiles.d/tlsgate.conf:$(tmpfilesdir):644 \
	packaging/tlsgated.conf.example:$(docdir):644 \
	$(foreach doc,$(PKG_DOCS),$(PKG_GEN)/doc/$(doc):$(docdir)/$(patsubst ./%,%,$(dir $(doc))):644) \
	packaging/tlsgated.socket:$(docdir)/examples:644 \
	packaging/prometheus-rules.yml:$(datadir)/tlsgate:644 \
	packaging/grafana-dashboard.json:$(datadir)/tlsgate:644 \
	$(foreach prog,tlsgate tlsgated,$(BUILD)/completion/bash/$(prog):$(datadir)/bash-completion/completions:644 \
		$(BUILD)/completion/fish/$(prog).fish:$(datadir)/fish/vendor_completions.d:644) \
	$(BUILD)/completion/zsh/_tlsgate:$(datadir)/zsh/vendor-completions:644 \
	$(foreach page,$(PKG_MANUALS),$(page):$(mandir)/man$(lastword $(subst ., ,$(page))):644) \
	$(GATE_SO):$(libdir):644 \
	$(GATE_LIB):$(libdir):644 \
	$(PKG_GEN)/libtlsgate.pc:$(libdir)/pkgconfig:644 \
	$(foreach header,$(PKG_HEADERS),$(header):$(includedir)/tlsgate:644) \
	Kbuild:$(dkmsdir):644 \
	COPYING:$(dkmsdir):644 \
	$(PKG_GEN)/dkms.conf:$(dkmsdir):644 \
	$(foreach file,$(PKG_MODULE),$(file):$(dkmsdir)/$(patsubst %/,%,$(dir $(file))):644)

pkg_part = $(word $(2),$(subst :, ,$(1)))
pkg_target = $(DESTDIR)$(call pkg_part,$(1),2)/$(notdir $(call pkg_part,$(1),1))
PKG_CONF = $(DESTDIR)$(sysconfdir)/tlsgate/tlsgated.conf

# The sources name the folders of a package.
pkg_folders = sed -e 's,/usr/sbin/,$(sbindir)/,g' -e 's,/etc/tlsgate/,$(sysconfdir)/tlsgate/,g' \
	-e 's,\#MODULE_VERSION\#,$(VERSION),g'

.PHONY: install uninstall dist pkg-generated

# By every install anew: the folders may be other ones.
pkg-generated:
	@mkdir -p $(PKG_GEN)
	$(Q)$(pkg_folders) packaging/tlsgated.service > $(PKG_GEN)/tlsgated.service
	$(Q)$(pkg_folders) packaging/dkms.conf > $(PKG_GEN)/dkms.conf
	$(Q)rm -rf $(PKG_GEN)/doc && mkdir -p $(PKG_GEN)/doc/docs
	$(Q)$(foreach doc,$(PKG_DOCS),cp $(doc) $(PKG_GEN)/doc/$(dir $(doc)) &&) packaging/doc-links.sh $(PKG_GEN)/doc
	$(Q)sed -e 's,@prefix@,$(PREFIX),' -e 's,@libdir@,$(libdir),' -e 's,@includedir@,$(includedir),' \
		-e 's,@version@,$(VERSION),' packaging/libtlsgate.pc.in > $(PKG_GEN)/libtlsgate.pc

define pkg_newline


endef

install: userspace pkg-generated
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(foreach file,$(PKG_FILES),$(Q)install -D -m $(call pkg_part,$(file),3) \
		'$(call pkg_part,$(file),1)' '$(call pkg_target,$(file))'$(pkg_newline))
	$(Q)ln -sf $(LIB_REAL) '$(DESTDIR)$(libdir)/$(LIB_SONAME)'
	$(Q)ln -sf $(LIB_SONAME) '$(DESTDIR)$(libdir)/libtlsgate.so'
	$(Q)test -e '$(PKG_CONF)' || install -D -m 644 packaging/tlsgated.conf.example '$(PKG_CONF)'

# Not the configuration, nor a folder in which somebody else has a file.
uninstall:
	$(call say,REMOVE,from $(DESTDIR)$(PREFIX); $(DESTDIR)$(sysconfdir)/tlsgate stays)
	$(foreach file,$(PKG_FILES),$(Q)rm -f '$(call pkg_target,$(file))'$(pkg_newline))
	$(Q)rm -f '$(DESTDIR)$(libdir)/$(LIB_SONAME)' '$(DESTDIR)$(libdir)/libtlsgate.so'
	$(Q)for dir in '$(DESTDIR)$(dkmsdir)' '$(DESTDIR)$(includedir)/tlsgate' '$(DESTDIR)$(docdir)' \
		'$(DESTDIR)$(datadir)/tlsgate'; do \
		test ! -d "$$dir" || find "$$dir" -depth -type d -empty -delete; done

# ---- the tarball ------------------------------------------------------------------------------------
# What git tracks, as it is in this folder; of an unpacked tarball, all but what was built. Equal
# trees give equal bytes: names are sorted, and nothing of the machine or the moment is in it.

DIST := $(BUILD)/dist/$(RELEASE).tar.gz
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
pkg_tracked = if [ -e .git ]; then git ls-files -z; else \
	find . -path ./$(BUILD) -prune -o -type f -printf '%P\0'; fi | LC_ALL=C sort -z

dist:
	@mkdir -p $(dir $(DIST))
	$(Q)$(pkg_tracked) > $(DIST).list
	$(Q)tar --create --file=$(DIST:.gz=) --format=ustar --mtime='@$(SOURCE_DATE_EPOCH)' \
		--owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --no-recursion \
		--transform='s,^,$(RELEASE)/,S' --null --files-from=$(DIST).list
	$(Q)gzip -9nf $(DIST:.gz=) && rm $(DIST).list
	$(call say,DIST,$(DIST))

# ---- libtlsgate as a shared object --------------------------------------------------------------
# The archive is for the daemon and tests. Only what libtlsgate.map names is visible; a change of what
# it promises gives LIB_ABI a new number.

LIB_ABI := 0
LIB_SONAME := libtlsgate.so.$(LIB_ABI)
LIB_REAL := libtlsgate.so.$(VERSION)
LIB_MAP := userspace/lib/libtlsgate.map
LIB_OBJ := $(call us_obj,pic,lib)
GATE_SO := $(BUILD)/$(LIB_REAL)

$(BUILD)/pic/%.o: userspace/%.c
	$(call say,CC,$< (shared))
	@mkdir -p $(@D)
	$(Q)$(CC) $(US_CPPFLAGS) $(PKG_CFLAGS) $(US_CFLAGS) -fPIC -fno-semantic-interposition $(CFLAGS) -c -o $@ $<

$(GATE_SO): $(LIB_OBJ) $(LIB_MAP)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(LIB_SONAME) -Wl,--version-script=$(LIB_MAP) -Wl,-z,relro,-z,now,-z,defs \
		$(LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS_lib) $(call pkg_libs,libcrypto)
	$(Q)ln -sf $(LIB_REAL) $(BUILD)/$(LIB_SONAME) && ln -sf $(LIB_SONAME) $(BUILD)/libtlsgate.so

userspace: $(GATE_SO)

-include $(shell find $(BUILD)/pic -name '*.d' 2>/dev/null)

# ---- the bill of materials ------------------------------------------------------------------------

SBOM := $(BUILD)/dist/$(RELEASE).spdx.json

.PHONY: sbom
sbom: userspace
	@mkdir -p $(dir $(SBOM))
	$(Q)packaging/sbom.py $(VERSION) $(SOURCE_DATE_EPOCH) $(BUILD)/tlsgated $(BUILD)/tlsgate $(GATE_SO) > $(SBOM)
	$(call say,SBOM,$(SBOM))

# ---- Debian packages ----------------------------------------------------------------------------
# dpkg-buildpackage wants its folder at the top, so it runs in a copy of the tree, which the tarball is.

DEB := $(BUILD)/deb
DEB_TREE := $(DEB)/$(RELEASE)
DEB_MAINTAINER = $(shell sed -n 's/^Maintainer: //p' packaging/debian/control)

.PHONY: deb
deb: dist
	$(call say,DEB,$(DEB))
	$(Q)rm -rf $(DEB) && mkdir -p $(DEB) && tar -C $(DEB) -xzf $(DIST)
	$(Q)mv $(DEB_TREE)/packaging/debian $(DEB_TREE)/debian
	$(Q)sed -i 's/#VERSION#/$(VERSION)/' $(DEB_TREE)/debian/*.postinst
	$(Q)printf 'tlsgate (%s-1) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' '$(VERSION)' \
		'$(DEB_MAINTAINER)' "$$(date -uRd '@$(SOURCE_DATE_EPOCH)')" > $(DEB_TREE)/debian/changelog
	$(Q)cd $(DEB_TREE) && dpkg-buildpackage -b -us -uc > ../build.log 2>&1 || { tail -n 20 ../build.log >&2; exit 1; }
	$(Q)ls $(DEB)/*.deb
