/* login.h: gatehouse login and logout. */
#ifndef TOOLS_GATEHOUSE_LOGIN_H
#define TOOLS_GATEHOUSE_LOGIN_H

int login_main(int argc, char **argv);
int logout_main(int argc, char **argv);

#endif
